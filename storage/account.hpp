// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a message belongs to: an account of the network, and its place on the ring of swarms.

#include <array>
#include <cstdint>

#include "crypto_accel/base/bytes.hpp"

namespace allium::storage {

/// Prefix byte, then 32 bytes of public key. Any prefix is legal.
using Account = std::array<std::uint8_t, 33>;

/// The account's point on the 64-bit ring: the four 8-byte words behind the prefix, XORed, read big-endian.
[[nodiscard]] constexpr std::uint64_t point_of(const Account& account) noexcept {
  return load_be(account.data() + 1, 8) ^ load_be(account.data() + 9, 8) ^
         load_be(account.data() + 17, 8) ^ load_be(account.data() + 25, 8);
}

}  // namespace allium::storage
