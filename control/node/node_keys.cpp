// SPDX-License-Identifier: Apache-2.0
#include "control/node/node_keys.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr std::uint64_t kHourGraceSeconds = 600;
constexpr std::uint64_t kLinkGraceSeconds = 16;

bool is_epoch_alive(std::uint64_t epoch, std::uint64_t now_ms) noexcept {
  const std::uint64_t current = onion::epoch_of(now_ms);
  return epoch + 1 >= current && epoch <= current + 1;
}

bool is_hour_alive(std::uint64_t hour, std::uint64_t now_ms) noexcept {
  const std::uint64_t current = onion::hour_of(now_ms);
  const std::uint64_t into_hour = onion::seconds_of(now_ms) - current * onion::kHourSeconds;
  return (hour >= current && hour <= current + 2) ||
         (hour + 1 == current && into_hour < kHourGraceSeconds);
}

/// Keeps a list of keys rising by their index.
template <typename Key, std::uint64_t Key::*Index>
void insert_key(std::vector<Key>& keys, Key key) {
  const auto place = std::find_if(keys.begin(), keys.end(),
                                  [&key](const Key& other) { return other.*Index > key.*Index; });
  keys.insert(place, std::move(key));
}

}  // namespace

NodeKeys::NodeKeys(IdentitySecret identity, Random random)
    : identity_(std::move(identity)), random_(random) {
  // Room for every key from the start: a vector that moves would leave copies behind. (Secrets wipe what
  // they are moved from; this saves the work.)
  epochs_.reserve(onion::kEpochsMax);
  hours_.reserve(onion::kHoursMax);
}

bool NodeKeys::erase_old(std::uint64_t now_ms) {
  const std::size_t erased = std::erase_if(epochs_,
                                           [now_ms](const onion::EpochSecrets& keys) {
                                             return !is_epoch_alive(keys.epoch, now_ms);
                                           }) +
                             std::erase_if(hours_, [now_ms](const onion::HourKey& key) {
                               return !is_hour_alive(key.hour, now_ms);
                             });
  return erased > 0;
}

bool NodeKeys::make_epoch(std::uint64_t epoch) {
  const bool is_there = std::any_of(epochs_.begin(), epochs_.end(),
                                    [epoch](const auto& keys) { return keys.epoch == epoch; });
  if (is_there) {
    return false;
  }
  onion::EpochSecrets keys;
  keys.epoch = epoch;
  for (Secret<16>* key :
       {&keys.segment, &keys.secret, &keys.return_block, &keys.replay, &keys.cookie}) {
    random_(key->bytes());
  }
  insert_key<onion::EpochSecrets, &onion::EpochSecrets::epoch>(epochs_, std::move(keys));
  return true;
}

bool NodeKeys::make_hour(std::uint64_t hour) {
  if (this->hour(hour) != nullptr) {
    return false;
  }
  onion::HourKey key;
  key.hour = hour;
  random_(key.private_key.bytes());
  key.public_key = crypto_accel::x25519_public(key.private_key);
  insert_key<onion::HourKey, &onion::HourKey::hour>(hours_, std::move(key));
  return true;
}

bool NodeKeys::advance(std::uint64_t now_ms) {
  const std::uint64_t ahead_ms = now_ms + 1000 * kKeyLeadSeconds;
  bool changed = erase_old(now_ms);
  changed = make_epoch(onion::epoch_of(now_ms)) || changed;
  changed = make_epoch(onion::epoch_of(ahead_ms)) || changed;
  for (std::uint64_t hour = onion::hour_of(now_ms); hour <= onion::hour_of(ahead_ms) + 1; ++hour) {
    changed = make_hour(hour) || changed;
  }
  return changed;
}

const onion::HourKey* NodeKeys::hour(std::uint64_t hour) const noexcept {
  for (const onion::HourKey& key : hours_) {
    if (key.hour == hour) {
      return &key;
    }
  }
  return nullptr;
}

Result<SignedNodeRecord> NodeKeys::make_record(std::vector<onion::Endpoint> endpoints,
                                               std::uint64_t number, std::uint64_t now_ms) const {
  ALLIUM_CHECK(!hours_.empty());
  NodeRecord record;
  record.identity = identity_.public_key();
  record.number = number;
  record.valid_from_s = onion::seconds_of(now_ms);
  record.valid_until_s = (hours_.back().hour + 1) * onion::kHourSeconds;
  record.endpoints = std::move(endpoints);
  for (const onion::HourKey& key : hours_) {
    record.keys.push_back({key.hour, key.public_key});
  }
  return sign(record, identity_);
}

std::uint64_t next_key_change_ms(std::uint64_t now_ms) noexcept {
  // The turn of an epoch (hours turn with one, and their 600 s end with one), the end of the old link key,
  // and the moment at which the next keys are made.
  constexpr std::array<std::uint64_t, 3> kOffsets = {
      kLinkGraceSeconds, onion::kEpochSeconds - kKeyLeadSeconds, onion::kEpochSeconds};
  const std::uint64_t start_ms = onion::epoch_of(now_ms) * onion::kEpochSeconds * 1000;
  for (const std::uint64_t offset : kOffsets) {
    if (start_ms + offset * 1000 > now_ms) {
      return start_ms + offset * 1000;
    }
  }
  return start_ms + onion::kEpochSeconds * 1000;
}

}  // namespace allium::control
