// SPDX-License-Identifier: Apache-2.0
#pragma once

// A UDP address. IPv4 is kept as ::ffff:a.b.c.d, so an IPv4-mapped IPv6 address *is* the IPv4 address
// everywhere (SPEC.md section 4).

#include <emmintrin.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>

#include "crypto_accel/base/bytes.hpp"

namespace allium::onion {

struct Endpoint {
  std::array<std::uint8_t, 16> address{};  ///< network order
  std::uint16_t port = 0;                  ///< host order

  auto operator<=>(const Endpoint&) const = default;

  // Several comparisons a packet: by words.
  bool operator==(const Endpoint& other) const noexcept {
    return port == other.port && same_block(address.data(), other.address.data());
  }

  [[nodiscard]] bool is_v4() const noexcept { return is_v4(address); }

  [[nodiscard]] static bool is_v4(const std::array<std::uint8_t, 16>& address) noexcept {
    return load_be(address.data(), 8) == 0 && load_be(address.data() + 8, 4) == 0xffff;
  }

  /// The four bytes of an IPv4 address, network order. Requires is_v4().
  [[nodiscard]] const std::uint8_t* v4() const noexcept { return address.data() + 12; }

  static Endpoint from_v4(const std::uint8_t* four_bytes, std::uint16_t port_number) noexcept {
    // Stored whole: what is written in parts and read at once, as copies do, waits for all parts.
    const std::uint64_t last_word =
        0xffff0000 | std::uint64_t{allium::internal::load_word<std::uint32_t>(four_bytes)} << 32;
    const __m128i whole = _mm_set_epi64x(static_cast<long long>(last_word), 0);
    Endpoint endpoint;
    std::memcpy(endpoint.address.data(), &whole, sizeof whole);
    endpoint.port = port_number;
    return endpoint;
  }

  static Endpoint from_v6(const std::uint8_t* sixteen_bytes, std::uint16_t port_number) noexcept {
    Endpoint endpoint;
    std::memcpy(endpoint.address.data(), sixteen_bytes, 16);
    endpoint.port = port_number;
    return endpoint;
  }
};

/// For hash tables inside one process. `key` is per process and secret: sources choose addresses.
[[nodiscard]] std::uint64_t endpoint_hash(const Endpoint& endpoint,
                                          const std::array<std::uint64_t, 2>& key) noexcept;

}  // namespace allium::onion
