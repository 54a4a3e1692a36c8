// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/setup_limiter.hpp"

#include <algorithm>

namespace allium::onion {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr std::size_t kSiteBytes = 6;  // an IPv6 /48
constexpr std::uint16_t kClientMark = 0;
constexpr std::uint16_t kRelayMark = 1;

enum Limit : std::size_t { per_prefix_per_s, per_prefix_burst, per_link_per_s, per_link_burst };

// What shares a bucket, as an endpoint: the mark keeps clients and relays apart.
Endpoint prefix_of(const Endpoint& source) noexcept {
  Endpoint prefix = source;
  if (!source.is_v4()) {
    std::fill(prefix.address.begin() + kSiteBytes, prefix.address.end(), std::uint8_t{0});
  }
  prefix.port = kClientMark;
  return prefix;
}

Endpoint link_of(std::uint32_t relay_id) noexcept {
  Endpoint link;
  store_be(link.address.data(), relay_id, 4);
  link.port = kRelayMark;
  return link;
}

}  // namespace

SetupLimiter::SetupLimiter(const SetupLimits& limits, Random random)
    : limits_{}, buckets_(new std::atomic<std::uint64_t>[kBuckets]()) {
  random({reinterpret_cast<std::uint8_t*>(hash_key_.data()), sizeof hash_key_});
  set_limits(limits);
}

void SetupLimiter::set_limits(const SetupLimits& limits) noexcept {
  limits_[per_prefix_per_s].store(limits.per_prefix_per_s, std::memory_order_relaxed);
  limits_[per_prefix_burst].store(limits.per_prefix_burst, std::memory_order_relaxed);
  limits_[per_link_per_s].store(limits.per_link_per_s, std::memory_order_relaxed);
  limits_[per_link_burst].store(limits.per_link_burst, std::memory_order_relaxed);
}

bool SetupLimiter::admit_client(const Endpoint& source, std::uint64_t now_ms) noexcept {
  return take(endpoint_hash(prefix_of(source), hash_key_),
              limits_[per_prefix_per_s].load(std::memory_order_relaxed),
              limits_[per_prefix_burst].load(std::memory_order_relaxed), now_ms);
}

bool SetupLimiter::admit_relay(std::uint32_t relay_id, std::uint64_t now_ms) noexcept {
  return take(endpoint_hash(link_of(relay_id), hash_key_),
              limits_[per_link_per_s].load(std::memory_order_relaxed),
              limits_[per_link_burst].load(std::memory_order_relaxed), now_ms);
}

// The bucket is the moment, in ns, at which it will be full again (the generic cell rate algorithm): one
// word says both how many tokens there are and when that was.
bool SetupLimiter::take(std::uint64_t hash, std::uint32_t per_s, std::uint32_t burst,
                        std::uint64_t now_ms) noexcept {
  if (per_s == 0 || burst == 0) {
    return false;
  }
  const std::uint64_t now_ns = now_ms * kNsPerMs;
  const std::uint64_t token_ns = std::max<std::uint64_t>(kNsPerSecond / per_s, 1);
  const std::uint64_t full_ns = token_ns * burst;
  std::atomic<std::uint64_t>& bucket = buckets_[hash % kBuckets];
  std::uint64_t seen = bucket.load(std::memory_order_relaxed);
  for (;;) {
    // A clock that stepped back finds an empty bucket, not one that stays empty until it has caught up:
    // so the bound is written back, too, when there is no token.
    const std::uint64_t refilled = std::clamp(seen, now_ns, now_ns + full_ns);
    if (refilled + token_ns > now_ns + full_ns) {
      if (seen > refilled) {
        bucket.compare_exchange_strong(seen, refilled, std::memory_order_relaxed);
      }
      return false;
    }
    if (bucket.compare_exchange_weak(seen, refilled + token_ns, std::memory_order_relaxed)) {
      return true;
    }
  }
}

}  // namespace allium::onion
