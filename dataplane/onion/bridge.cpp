// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/bridge.hpp"

#include <cstring>
#include <mutex>

#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "dataplane/onion/internal/bounded_map.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::onion {
namespace {

// A segment lives at most two epochs, so nothing is sent under it later.
constexpr std::uint64_t kNumberedLifeMs = 2 * kEpochSeconds * 1000;

struct NumberKey {
  Block segment{};
  PacketClass packet_class = PacketClass::d;

  bool operator==(const NumberKey&) const = default;
};

struct Number {
  std::uint64_t first_ms = 0;
  std::uint32_t gen = 0;
  std::uint32_t count = 0;
};

using HashKey = std::array<std::uint64_t, 2>;

struct CookieHash {
  HashKey key;

  std::uint64_t operator()(std::uint64_t cookie) const noexcept {
    Endpoint words;
    store_be(words.address.data(), cookie, 8);
    return endpoint_hash(words, key);
  }
};

struct NumberHash {
  HashKey key;

  std::uint64_t operator()(const NumberKey& number) const noexcept {
    Endpoint words;
    words.address = number.segment;
    words.port = static_cast<std::uint16_t>(number.packet_class);
    return endpoint_hash(words, key);
  }
};

HashKey draw_key(const Random& random) noexcept {
  HashKey key{};
  random({reinterpret_cast<std::uint8_t*>(key.data()), sizeof key});
  return key;
}

}  // namespace

struct Bridge::State {
  explicit State(const HashKey& key)
      : legs(kLegsMax, CookieHash{key}), numbers(kNumberedMax, NumberHash{key}) {}

  /// Null where there is none, or only a dead one.
  BridgeLeg* live_leg(std::uint64_t cookie, std::uint64_t now_ms) noexcept {
    BridgeLeg* leg = legs.find(cookie);
    return leg != nullptr && now_ms < leg->until_ms ? leg : nullptr;
  }

  std::mutex lock;
  internal::BoundedMap<std::uint64_t, BridgeLeg, CookieHash> legs;
  internal::BoundedMap<NumberKey, Number, NumberHash> numbers;
};

Bridge::Bridge(const Random& random) : state_(std::make_unique<State>(draw_key(random))) {}

Bridge::~Bridge() = default;

std::optional<BridgeLeg> Bridge::find(std::uint64_t cookie, std::uint64_t now_ms) const noexcept {
  const std::lock_guard guard(state_->lock);
  const BridgeLeg* leg = state_->live_leg(cookie, now_ms);
  return leg != nullptr ? std::optional(*leg) : std::nullopt;
}

BridgeStatus Bridge::add(std::uint64_t cookie, const BridgeLeg& leg,
                         std::uint64_t now_ms) noexcept {
  const std::lock_guard guard(state_->lock);
  const BridgeLeg* old = state_->live_leg(cookie, now_ms);
  if (old != nullptr && !equal(old->owner.data(), leg.owner.data(), leg.owner.size())) {
    return BridgeStatus::other_owner;
  }
  if (state_->legs.is_full() && old == nullptr) {
    state_->legs.erase_if([&](const BridgeLeg& other) { return now_ms >= other.until_ms; });
  }
  BridgeLeg* place = state_->legs.insert(cookie);
  if (place == nullptr) {
    return BridgeStatus::full;
  }
  *place = leg;
  return BridgeStatus::done;
}

BridgeStatus Bridge::remove(std::uint64_t cookie, const BridgeOwner& owner,
                            std::uint64_t now_ms) noexcept {
  const std::lock_guard guard(state_->lock);
  const BridgeLeg* leg = state_->live_leg(cookie, now_ms);
  if (leg == nullptr) {
    return BridgeStatus::no_leg;
  }
  if (!equal(leg->owner.data(), owner.data(), owner.size())) {
    return BridgeStatus::other_owner;
  }
  state_->legs.erase(cookie);
  return BridgeStatus::done;
}

std::optional<std::uint64_t> Bridge::take_number(const Block& segment, PacketClass packet_class,
                                                 std::uint64_t now_ms) noexcept {
  constexpr std::uint64_t kGenMask = 0x7fffffff;
  const std::lock_guard guard(state_->lock);
  const NumberKey key{segment, packet_class};
  if (state_->numbers.is_full() && state_->numbers.find(key) == nullptr) {
    state_->numbers.erase_if(
        [&](const Number& other) { return now_ms >= other.first_ms + kNumberedLifeMs; });
  }
  Number* number = state_->numbers.insert(key);
  if (number == nullptr) {
    return std::nullopt;
  }
  if (number->first_ms == 0) {
    number->first_ms = now_ms;
    number->gen = static_cast<std::uint32_t>(seconds_of(now_ms) & kGenMask);
  }
  return std::uint64_t{number->gen} << 32 | number->count++;
}

}  // namespace allium::onion
