// SPDX-License-Identifier: Apache-2.0
#include "control/node/node_keys.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr std::uint64_t kHoursAhead = 2;
constexpr std::uint64_t kEpochsPerHour = onion::kHourSeconds / onion::kEpochSeconds;
constexpr std::array<std::uint8_t, 8> kStateMagic = {'a', 'l', 'l', 'k', 'e', 'y', 's', '1'};

std::array<Secret<16>*, 5> secrets_of(onion::EpochSecrets& keys) noexcept {
  return {&keys.segment, &keys.secret, &keys.return_block, &keys.replay, &keys.cookie};
}

std::array<const Secret<16>*, 5> secrets_of(const onion::EpochSecrets& keys) noexcept {
  return {&keys.segment, &keys.secret, &keys.return_block, &keys.replay, &keys.cookie};
}

/// Bytes one after the other; more than there is room for is our own mistake.
class StateWriter {
 public:
  explicit StateWriter(NodeKeys::State& target) : target_(target) {}

  void bytes(Bytes source) {
    ALLIUM_CHECK(used_ + source.size() <= NodeKeys::kStateBytes);
    std::memcpy(target_.data() + used_, source.data(), source.size());
    used_ += source.size();
  }

  void number(std::uint64_t value) {
    std::array<std::uint8_t, 8> text;
    store_be(text.data(), value, text.size());
    bytes(text);
  }

 private:
  NodeKeys::State& target_;
  std::size_t used_ = 0;
};

/// Beyond the end everything is zero, and is_good() says so.
class StateReader {
 public:
  explicit StateReader(const NodeKeys::State& source) : source_(source) {}

  void bytes(MutableBytes target) {
    is_good_ = is_good_ && used_ + target.size() <= NodeKeys::kStateBytes;
    if (!is_good_) {
      std::fill(target.begin(), target.end(), std::uint8_t{0});
      return;
    }
    std::memcpy(target.data(), source_.data() + used_, target.size());
    used_ += target.size();
  }

  std::uint64_t number() {
    std::array<std::uint8_t, 8> text;
    bytes(text);
    return load_be(text.data(), text.size());
  }

  [[nodiscard]] bool is_good() const noexcept { return is_good_; }

 private:
  const NodeKeys::State& source_;
  std::size_t used_ = 0;
  bool is_good_ = true;
};

}  // namespace

NodeKeys::NodeKeys(IdentitySecret identity, const Random& random, std::uint64_t now_ms)
    : identity_(std::move(identity)), random_(random) {
  advance(now_ms);
}

NodeKeys::NodeKeys(IdentitySecret identity, const Random& random, std::uint64_t now_ms,
                   const State& kept)
    : identity_(std::move(identity)), random_(random) {
  if (!restore(kept)) {
    epochs_.clear();
    hours_.clear();
    starts_in_epoch_.clear();
    next_salt_alloc_ = 0;
    snapshot_serial_ = 0;
    record_number_ = 0;
  }
  advance(now_ms);
}

void NodeKeys::make_epoch(std::uint64_t epoch) {
  onion::EpochSecrets& keys = epochs_[epoch];
  keys.epoch = epoch;
  for (Secret<16>* key : secrets_of(keys)) {
    random_(key->bytes());
  }
}

void NodeKeys::make_hour(std::uint64_t hour) {
  onion::HourKey& key = hours_[hour];
  key.hour = hour;
  random_(key.private_key.bytes());
  key.public_key = crypto_accel::x25519_public(key.private_key);
}

void NodeKeys::save(State& target) const {
  target.clear();
  StateWriter writer(target);
  writer.bytes(kStateMagic);
  writer.bytes(identity());
  writer.number(next_salt_alloc_);
  writer.number(snapshot_serial_);
  writer.number(record_number_);
  writer.number(epochs_.size());
  for (const auto& [epoch, keys] : epochs_) {
    writer.number(epoch);
    for (const Secret<16>* key : secrets_of(keys)) {
      writer.bytes(key->bytes());
    }
  }
  writer.number(hours_.size());
  for (const auto& [hour, key] : hours_) {
    writer.number(hour);
    writer.bytes(key.private_key.bytes());
  }
  writer.number(starts_in_epoch_.size());
  for (const auto& [epoch, starts] : starts_in_epoch_) {
    writer.number(epoch);
    writer.number(starts);
  }
}

bool NodeKeys::restore(const State& kept) {
  StateReader reader(kept);
  std::array<std::uint8_t, kStateMagic.size()> magic;
  IdentityKey owner;
  reader.bytes(magic);
  reader.bytes(owner);
  if (magic != kStateMagic || owner != identity()) {
    return false;
  }
  next_salt_alloc_ = reader.number();
  snapshot_serial_ = reader.number();
  record_number_ = reader.number();
  for (std::uint64_t left = reader.number(); left > 0 && reader.is_good(); --left) {
    onion::EpochSecrets& keys = epochs_[reader.number()];
    for (Secret<16>* key : secrets_of(keys)) {
      reader.bytes(key->bytes());
    }
  }
  for (std::uint64_t left = reader.number(); left > 0 && reader.is_good(); --left) {
    onion::HourKey& key = hours_[reader.number()];
    reader.bytes(key.private_key.bytes());
  }
  for (std::uint64_t left = reader.number(); left > 0 && reader.is_good(); --left) {
    const std::uint64_t epoch = reader.number();
    starts_in_epoch_[epoch] = reader.number();
  }
  for (auto& [epoch, keys] : epochs_) {
    keys.epoch = epoch;
  }
  for (auto& [hour, key] : hours_) {
    key.hour = hour;
    key.public_key = crypto_accel::x25519_public(key.private_key);
  }
  return reader.is_good();
}

bool NodeKeys::advance(std::uint64_t now_ms) {
  const std::uint64_t epoch = onion::epoch_of(now_ms);
  const std::uint64_t hour = onion::hour_of(now_ms);
  const std::uint64_t into_hour_s = onion::seconds_of(now_ms) - hour * onion::kHourSeconds;
  bool changed = false;
  // Epoch e issues during e and is accepted during e + 1. The one to come exists a whole epoch ahead.
  for (const std::uint64_t wanted : {epoch, epoch + 1}) {
    if (epochs_.count(wanted) == 0) {
      make_epoch(wanted);
      changed = true;
    }
  }
  // Keys of a future that the clock has left again go too: there is room for those of now only.
  changed |= std::erase_if(epochs_, [&](const auto& item) {
               return item.first + 1 < epoch || item.first > epoch + 1;
             }) > 0;
  for (std::uint64_t wanted = hour; wanted <= hour + kHoursAhead; ++wanted) {
    if (hours_.count(wanted) == 0) {
      make_hour(wanted);
      record_changed_ = true;
      changed = true;
    }
  }
  const std::uint64_t oldest = into_hour_s < onion::kOverlapSeconds ? hour - 1 : hour;
  changed |= std::erase_if(hours_, [&](const auto& item) {
               return item.first < oldest || item.first > hour + kHoursAhead;
             }) > 0;
  // Link keys come from the hours' keys: what was handed out is remembered as long as those live, so that
  // a clock that steps back never gets a range twice.
  std::erase_if(starts_in_epoch_,
                [&](const auto& item) { return hours_.count(item.first / kEpochsPerHour) == 0; });
  std::erase_if(range_of_epoch_, [&](const auto& item) { return item.first + 1 < epoch; });
  return changed;
}

bool NodeKeys::record_changed() noexcept {
  return std::exchange(record_changed_, false);
}

std::vector<OnionKey> NodeKeys::public_keys(std::uint64_t now_ms) const {
  std::vector<OnionKey> keys;
  for (const auto& [hour, key] : hours_) {
    if (hour >= onion::hour_of(now_ms)) {
      keys.push_back({hour, key.public_key});
    }
  }
  return keys;
}

std::vector<OnionKey> NodeKeys::link_public_keys() const {
  std::vector<OnionKey> keys;
  for (const auto& [hour, key] : hours_) {
    keys.push_back({hour, key.public_key});
  }
  return keys;
}

Result<SignedNodeRecord> NodeKeys::make_record(const std::vector<onion::Endpoint>& endpoints,
                                               std::uint64_t now_ms) {
  NodeRecord record;
  record.identity = identity();
  record.number = record_number_ = std::max(record_number_ + 1, now_ms);
  record.keys = public_keys(now_ms);
  record.valid_from_s = onion::seconds_of(now_ms);
  record.valid_until_s = (record.keys.back().hour + 1) * onion::kHourSeconds;
  record.endpoints = endpoints;
  return sign(record, identity_);
}

Result<void> NodeKeys::begin_start(std::size_t worker_count, std::uint64_t now_ms) {
  ALLIUM_CHECK(worker_count >= 1 && worker_count <= kWorkersMax);
  advance(now_ms);
  if (starts_in_epoch_[onion::epoch_of(now_ms)] >= kRangesMax) {
    return fail(Errc::full,
                "started " + std::to_string(kRangesMax) +
                    " times in ten minutes, and no link numbers are left: wait for the next "
                    "epoch");
  }
  if (next_salt_alloc_ + worker_count > kSaltAllocsMax) {
    next_salt_alloc_ = 0;
  }
  salt_alloc_first_ = std::exchange(next_salt_alloc_, next_salt_alloc_ + worker_count);
  range_of_epoch_.clear();
  return {};
}

std::vector<onion::LinkSecrets> NodeKeys::links_with(const PeerKeys& peer) const {
  std::vector<onion::LinkSecrets> links;
  for (const auto& [epoch, unused] : epochs_) {
    const std::uint64_t hour = epoch / kEpochsPerHour;
    const auto own = hours_.find(hour);
    const auto theirs = std::find_if(peer.keys.begin(), peer.keys.end(),
                                     [hour](const OnionKey& key) { return key.hour == hour; });
    if (own == hours_.end() || theirs == peer.keys.end()) {
      continue;
    }
    auto secrets =
        onion::derive_link_secrets(own->second.private_key, {id(), own->second.public_key},
                                   {peer.id, theirs->public_key}, epoch);
    if (secrets) {
      links.push_back(std::move(*secrets));
    }
  }
  return links;
}

Result<NodeSnapshot> NodeKeys::make_snapshot(const onion::Endpoint& own_endpoint,
                                             std::span<const PeerKeys> peers,
                                             std::uint64_t now_ms) {
  advance(now_ms);
  NodeSnapshot snapshot;
  control_port::SnapshotBegin& begin = snapshot.begin;
  begin.serial = ++snapshot_serial_;
  begin.own_id = id();
  begin.own_endpoint = own_endpoint;
  begin.salt_alloc_first = static_cast<std::uint16_t>(salt_alloc_first_);
  for (const auto& [epoch, keys] : epochs_) {
    onion::EpochSecrets& copy = begin.epochs.emplace_back();
    copy.epoch = epoch;
    const auto sources = secrets_of(keys);
    const auto targets = secrets_of(copy);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      targets[i]->copy_from(*sources[i]);
    }
    // Range k of an epoch belongs to the k-th start in it; without one left nothing is sent.
    auto range = range_of_epoch_.find(epoch);
    if (range == range_of_epoch_.end()) {
      range = range_of_epoch_.emplace(epoch, starts_in_epoch_[epoch]++).first;
    }
    if (range->second < kRangesMax) {
      begin.sequences.push_back(
          {epoch, range->second * kRangeNumbers, (range->second + 1) * kRangeNumbers});
    }
  }
  for (const auto& [hour, key] : hours_) {
    onion::HourKey& copy = begin.hours.emplace_back();
    copy.hour = hour;
    copy.private_key.copy_from(key.private_key);
    copy.public_key = key.public_key;
  }
  for (const PeerKeys& peer : peers) {
    if (peer.id != id()) {
      onion::PeerConfig& config = snapshot.peers.emplace_back();
      config.id = peer.id;
      config.endpoint = peer.endpoint;
      config.links = links_with(peer);
    }
  }
  begin.peer_count = static_cast<std::uint32_t>(snapshot.peers.size());
  return snapshot;
}

}  // namespace allium::control
