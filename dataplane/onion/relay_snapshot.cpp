// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/relay_snapshot.hpp"

#include <cstdio>

namespace allium::onion {
namespace {

using crypto_accel::OnionBatch;

void expand(const Secret<16>& key, crypto_accel::AesKey& expanded, OnionBatch& batch) noexcept {
  batch.expand_key(key.bytes(), expanded);
}

void expand_epoch(const EpochSecrets& secrets, RelaySnapshot::Epoch& epoch,
                  OnionBatch& batch) noexcept {
  epoch.epoch = secrets.epoch;
  expand(secrets.segment, epoch.segment, batch);
  expand(secrets.secret, epoch.secret, batch);
  expand(secrets.replay, epoch.replay, batch);
  epoch.segment_raw = secrets.segment.bytes();
  epoch.secret_raw = secrets.secret.bytes();
  epoch.return_block = secrets.return_block.bytes();
  epoch.cookie = secrets.cookie.bytes();
}

void expand_link(const LinkSecrets& secrets, RelaySnapshot::Link& link,
                 OnionBatch& batch) noexcept {
  expand(secrets.in_mac, link.in.mac, batch);
  expand(secrets.in_veil, link.in.veil, batch);
  expand(secrets.out_mac, link.out.mac, batch);
  expand(secrets.out_veil, link.out.veil, batch);
}

Result<void> check_counts(const SnapshotConfig& config) {
  if (config.peers.size() > kPeersMax) {
    return fail(Errc::full, "more relays than " + std::to_string(kPeersMax));
  }
  if (config.epochs.size() > kEpochsMax) {
    return fail(Errc::full, "more epochs than " + std::to_string(kEpochsMax));
  }
  if (config.hours.size() > kHoursMax) {
    return fail(Errc::full, "more onion keys than " + std::to_string(kHoursMax));
  }
  for (const PeerConfig& peer : config.peers) {
    if (peer.links.size() > kEpochsMax) {
      return fail(Errc::full, "more link epochs of one relay than " + std::to_string(kEpochsMax));
    }
  }
  return {};
}

std::string id_text(std::uint32_t id) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", id);
  return text.data();
}

}  // namespace

Result<std::unique_ptr<const RelaySnapshot>> RelaySnapshot::build(const SnapshotConfig& config,
                                                                  OnionBatch& batch) {
  if (const Result<void> counts = check_counts(config); !counts) {
    return tl::unexpected<Error>(counts.error());
  }
  std::unique_ptr<RelaySnapshot> snapshot(new RelaySnapshot);
  snapshot->own_id_ = config.own_id;
  snapshot->own_endpoint_ = config.own_endpoint;
  snapshot->cookie_required_ = config.cookie_required;
  snapshot->add_keys(config, batch);
  if (const Result<void> peers = snapshot->add_peers(config, batch); !peers) {
    return tl::unexpected<Error>(peers.error());
  }
  return std::unique_ptr<const RelaySnapshot>(std::move(snapshot));
}

void RelaySnapshot::add_keys(const SnapshotConfig& config, OnionBatch& batch) {
  for (const EpochSecrets& secrets : config.epochs) {
    expand_epoch(secrets, epochs_[epoch_count_++], batch);
  }
  hours_.reserve(config.hours.size());
  for (const HourKey& source : config.hours) {
    HourKey& target = hours_.emplace_back();
    target.hour = source.hour;
    target.private_key.copy_from(source.private_key);
    target.public_key = source.public_key;
  }
}

Result<void> RelaySnapshot::add_peers(const SnapshotConfig& config, OnionBatch& batch) {
  // Reserved whole: a vector that grows would leave keys behind in the memory that it gives back.
  peers_.reserve(config.peers.size());
  by_id_.reserve(config.peers.size());
  by_endpoint_.reserve(config.peers.size());
  for (const PeerConfig& source : config.peers) {
    const auto index = static_cast<std::uint32_t>(peers_.size());
    if (source.id == config.own_id || !by_id_.insert(source.id, index)) {
      return fail(Errc::malformed, "relay id " + id_text(source.id) + " is there twice");
    }
    if (source.endpoint == config.own_endpoint || !by_endpoint_.insert(source.endpoint, index)) {
      return fail(Errc::malformed,
                  "relay " + id_text(source.id) + " has the address and port of another relay");
    }
    Peer& target = peers_.emplace_back();
    target.id = source.id;
    target.endpoint = source.endpoint;
    for (const LinkSecrets& secrets : source.links) {
      target.link_epochs[target.link_count] = secrets.epoch;
      expand_link(secrets, target.links[target.link_count++], batch);
    }
  }
  return {};
}

RelaySnapshot::RelaySnapshot() = default;

RelaySnapshot::~RelaySnapshot() {
  wipe(epochs_.data(), sizeof epochs_);
  for (Peer& peer : peers_) {
    wipe(peer.links.data(), sizeof peer.links);
  }
}

const HourKey* RelaySnapshot::hour(std::uint64_t hour) const noexcept {
  for (const HourKey& key : hours_) {
    if (key.hour == hour) {
      return &key;
    }
  }
  return nullptr;
}

}  // namespace allium::onion
