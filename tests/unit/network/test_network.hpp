// SPDX-License-Identifier: Apache-2.0
#pragma once

// A small network with fixed keys, for tests of its document, records and view.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::control::test {

/// Bytes that a number fixes (splitmix64).
class FixedRandom {
 public:
  explicit FixedRandom(std::uint64_t seed) : state_(seed) {}

  [[nodiscard]] Random source() noexcept { return {this, fill}; }

  [[nodiscard]] std::uint64_t next() noexcept;

  [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept;

  std::uint64_t state_;
};

inline constexpr std::uint64_t kNow = 1'800'000'000;

[[nodiscard]] IdentitySecret key_of(std::uint64_t seed);

/// Relay n of 1, 2, ...: its key is key_of(n), its addresses 10.0.0.n and fd00::n.
[[nodiscard]] RelayEntry relay_entry(std::uint8_t n);

/// Relays 1 to `relay_count`, serial 7, valid around kNow.
[[nodiscard]] NetworkDocument network_document(std::uint8_t relay_count);

/// The record of relay n: number 3, hours of kNow and after.
[[nodiscard]] NodeRecord node_record(std::uint8_t n);

[[nodiscard]] SignedNetworkDocument signed_document(const NetworkDocument& document,
                                                    const std::vector<std::uint64_t>& authorities);

/// Document and records of `relay_count` relays, signed by key_of(900).
[[nodiscard]] NetworkBundle network_bundle(std::uint8_t relay_count);

[[nodiscard]] Authorities authorities_of(const std::vector<std::uint64_t>& seeds,
                                         std::size_t threshold);

/// `text` with the first `from` replaced.
[[nodiscard]] std::string replaced(std::string text, std::string_view from, std::string_view to);

}  // namespace allium::control::test
