// SPDX-License-Identifier: Apache-2.0
#pragma once

// Blocks of 16 bytes, and big-endian integers in byte strings (SPEC.md section 1: all integers on
// the wire are big-endian).

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace allium {

/// One AES block, one field element of GHASH, one key of AES-128.
using Block = std::array<std::uint8_t, 16>;
inline constexpr std::size_t kBlockBytes = 16;

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

namespace internal {

template <typename Word>
Word load_word(const std::uint8_t* source) noexcept {
  Word word = 0;
  std::memcpy(&word, source, sizeof word);
  return word;
}

template <typename Word>
void store_word(std::uint8_t* target, Word word) noexcept {
  std::memcpy(target, &word, sizeof word);
}

}  // namespace internal

/// The big-endian integer of the first `byte_count` (at most 8) bytes at `source`.
constexpr std::uint64_t load_be(const std::uint8_t* source, std::size_t byte_count) noexcept {
  static_assert(std::endian::native == std::endian::little);
  if (!std::is_constant_evaluated()) {
    // One instruction each where the size is known, which the compiler does not find in the loop.
    switch (byte_count) {
      case 8:
        return __builtin_bswap64(internal::load_word<std::uint64_t>(source));
      case 4:
        return __builtin_bswap32(internal::load_word<std::uint32_t>(source));
      case 2:
        return __builtin_bswap16(internal::load_word<std::uint16_t>(source));
      default:
        break;
    }
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < byte_count; ++i) {
    value = value << 8 | source[i];
  }
  return value;
}

/// Writes the low `byte_count` (at most 8) bytes of `value` at `target`, big-endian.
constexpr void store_be(std::uint8_t* target, std::uint64_t value,
                        std::size_t byte_count) noexcept {
  if (!std::is_constant_evaluated()) {
    switch (byte_count) {
      case 8:
        return internal::store_word(target, __builtin_bswap64(value));
      case 4:
        return internal::store_word(target, __builtin_bswap32(static_cast<std::uint32_t>(value)));
      case 2:
        return internal::store_word(target, __builtin_bswap16(static_cast<std::uint16_t>(value)));
      default:
        break;
    }
  }
  for (std::size_t i = byte_count; i-- > 0; value >>= 8) {
    target[i] = static_cast<std::uint8_t>(value);
  }
}

/// Whether two blocks are the same. Not for secrets: `equal` of secret.hpp is.
inline bool same_block(const std::uint8_t* left, const std::uint8_t* right) noexcept {
  return ((internal::load_word<std::uint64_t>(left) ^ internal::load_word<std::uint64_t>(right)) |
          (internal::load_word<std::uint64_t>(left + 8) ^
           internal::load_word<std::uint64_t>(right + 8))) == 0;
}

inline Block load_block(const std::uint8_t* source) noexcept {
  Block block;
  std::memcpy(block.data(), source, kBlockBytes);
  return block;
}

inline void store_block(std::uint8_t* target, const Block& block) noexcept {
  std::memcpy(target, block.data(), kBlockBytes);
}

/// target ^= other.
inline void xor_into(std::uint8_t* target, const std::uint8_t* other,
                     std::size_t byte_count) noexcept {
  using internal::load_word;
  std::size_t i = 0;
  for (; i + 8 <= byte_count; i += 8) {
    internal::store_word(
        target + i, load_word<std::uint64_t>(target + i) ^ load_word<std::uint64_t>(other + i));
  }
  for (; i < byte_count; ++i) {
    target[i] = static_cast<std::uint8_t>(target[i] ^ other[i]);
  }
}

inline Block operator^(const Block& left, const Block& right) noexcept {
  Block result = left;
  xor_into(result.data(), right.data(), kBlockBytes);
  return result;
}

}  // namespace allium
