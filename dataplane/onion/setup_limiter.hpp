// SPDX-License-Identifier: Apache-2.0
#pragma once

// Token buckets in front of public-key work (SPEC.md section 4): a bucket per source prefix (IPv4 /32,
// IPv6 /48) for clients, and one per link for relays.
//
//   Units      packets a second, packets.
//   Threads    any: a bucket is one atomic word.
//   Limits     a fixed table; two prefixes that meet in one place share its bucket. The place comes from
//              a keyed hash, so nobody can aim at somebody else's.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::onion {

/// Zero closes the door.
struct SetupLimits {
  std::uint32_t per_prefix_per_s = 50;
  std::uint32_t per_prefix_burst = 100;
  std::uint32_t per_link_per_s = 2000;
  std::uint32_t per_link_burst = 4000;
};

class SetupLimiter {
 public:
  SetupLimiter(const SetupLimits& limits, Random random);

  void set_limits(const SetupLimits& limits) noexcept;

  /// Takes a token; false: none left, verdict `rate`.
  [[nodiscard]] bool admit_client(const Endpoint& source, std::uint64_t now_ms) noexcept;
  [[nodiscard]] bool admit_relay(std::uint32_t relay_id, std::uint64_t now_ms) noexcept;

 private:
  static constexpr std::size_t kBuckets = 16384;

  [[nodiscard]] bool take(std::uint64_t hash, std::uint32_t per_s, std::uint32_t burst,
                          std::uint64_t now_ms) noexcept;

  std::array<std::atomic<std::uint32_t>, 4> limits_;
  std::array<std::uint64_t, 2> hash_key_{};
  std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
};

}  // namespace allium::onion
