// SPDX-License-Identifier: Apache-2.0
#pragma once

// Blocks of 16 bytes, and big-endian integers in byte strings (SPEC.md section 1: all integers on
// the wire are big-endian).

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace allium {

/// One AES block, one field element of GHASH, one key of AES-128.
using Block = std::array<std::uint8_t, 16>;
inline constexpr std::size_t kBlockBytes = 16;

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// The big-endian integer of the first `byte_count` (at most 8) bytes at `source`.
constexpr std::uint64_t load_be(const std::uint8_t* source, std::size_t byte_count) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < byte_count; ++i) {
    value = value << 8 | source[i];
  }
  return value;
}

/// Writes the low `byte_count` (at most 8) bytes of `value` at `target`, big-endian.
constexpr void store_be(std::uint8_t* target, std::uint64_t value,
                        std::size_t byte_count) noexcept {
  for (std::size_t i = byte_count; i-- > 0; value >>= 8) {
    target[i] = static_cast<std::uint8_t>(value);
  }
}

inline Block load_block(const std::uint8_t* source) noexcept {
  Block block;
  std::memcpy(block.data(), source, kBlockBytes);
  return block;
}

inline void store_block(std::uint8_t* target, const Block& block) noexcept {
  std::memcpy(target, block.data(), kBlockBytes);
}

/// target ^= other, byte by byte.
inline void xor_into(std::uint8_t* target, const std::uint8_t* other,
                     std::size_t byte_count) noexcept {
  for (std::size_t i = 0; i < byte_count; ++i) {
    target[i] = static_cast<std::uint8_t>(target[i] ^ other[i]);
  }
}

inline Block operator^(const Block& left, const Block& right) noexcept {
  Block result = left;
  xor_into(result.data(), right.data(), kBlockBytes);
  return result;
}

}  // namespace allium
