// SPDX-License-Identifier: Apache-2.0
#include "control/node/snapshot_builder.hpp"

#include <utility>

#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr std::uint64_t kEpochsPerHour = onion::kHourSeconds / onion::kEpochSeconds;
constexpr std::uint64_t kLinkGraceSeconds = 16;

/// The epochs whose link keys a dataplane may need before the next snapshot.
std::vector<std::uint64_t> link_epochs(std::uint64_t now_ms) {
  const std::uint64_t current = onion::epoch_of(now_ms);
  const std::uint64_t into_epoch = onion::seconds_of(now_ms) - current * onion::kEpochSeconds;
  std::vector<std::uint64_t> epochs;
  if (into_epoch < kLinkGraceSeconds) {
    epochs.push_back(current - 1);
  }
  epochs.push_back(current);
  if (onion::epoch_of(now_ms + 1000 * kKeyLeadSeconds) != current) {
    epochs.push_back(current + 1);
  }
  return epochs;
}

onion::EpochSecrets copy_of(const onion::EpochSecrets& source) {
  onion::EpochSecrets copy;
  copy.epoch = source.epoch;
  copy.segment.copy_from(source.segment);
  copy.secret.copy_from(source.secret);
  copy.return_block.copy_from(source.return_block);
  copy.replay.copy_from(source.replay);
  copy.cookie.copy_from(source.cookie);
  return copy;
}

onion::HourKey copy_of(const onion::HourKey& source) {
  onion::HourKey copy;
  copy.hour = source.hour;
  copy.private_key.copy_from(source.private_key);
  copy.public_key = source.public_key;
  return copy;
}

onion::PeerConfig peer_of(const NodeKeys& keys, std::uint32_t own_id, const RelayInView& relay,
                          std::uint64_t now_ms) {
  onion::PeerConfig peer;
  peer.id = relay.id;
  peer.endpoint = relay.endpoint();
  for (const std::uint64_t epoch : link_epochs(now_ms)) {
    const onion::HourKey* const own_key = keys.hour(epoch / kEpochsPerHour);
    const crypto_accel::PublicKey* const peer_key = relay.key_of(epoch / kEpochsPerHour);
    if (own_key == nullptr || peer_key == nullptr) {
      continue;
    }
    auto link = onion::derive_link_secrets(own_key->private_key, {own_id, own_key->public_key},
                                           {relay.id, *peer_key}, epoch);
    if (link) {
      peer.links.push_back(std::move(*link));
    }
  }
  return peer;
}

}  // namespace

Result<NodeSnapshot> build_snapshot(const NodeKeys& keys, StartLedger& ledger,
                                    const NetworkView& view, const SnapshotSettings& settings,
                                    std::uint64_t serial, std::uint64_t now_ms) {
  NodeSnapshot snapshot;
  snapshot.begin.serial = serial;
  snapshot.begin.own_id = relay_id(keys.identity().public_key());
  const RelayInView* const own = view.find(snapshot.begin.own_id);
  if (own == nullptr || own->entry.identity != keys.identity().public_key()) {
    return fail(Errc::not_found,
                "this node is not in the network document: have it registered first");
  }
  snapshot.begin.own_endpoint = own->endpoint();
  snapshot.begin.cookie_required = settings.cookie_required;
  snapshot.begin.setup_limits = settings.setup_limits;
  snapshot.begin.salt_alloc_first = ledger.salt_alloc_first();
  for (const std::uint64_t epoch : link_epochs(now_ms)) {
    if (epoch < onion::epoch_of(now_ms)) {
      continue;  // packets are sent under the current epoch only
    }
    if (const auto range = ledger.range(epoch)) {
      snapshot.begin.sequences.push_back(*range);
    }
  }
  for (const onion::EpochSecrets& epoch : keys.epochs()) {
    snapshot.begin.epochs.push_back(copy_of(epoch));
  }
  for (const onion::HourKey& hour : keys.hours()) {
    snapshot.begin.hours.push_back(copy_of(hour));
  }
  for (const RelayInView& relay : view.relays()) {
    if (relay.id != snapshot.begin.own_id) {
      snapshot.peers.push_back(peer_of(keys, snapshot.begin.own_id, relay, now_ms));
    }
  }
  snapshot.begin.peer_count = static_cast<std::uint32_t>(snapshot.peers.size());
  return snapshot;
}

}  // namespace allium::control
