// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/secret.hpp"

#include <cstdint>

#include <sodium.h>

#include "crypto_accel/base/bytes.hpp"

namespace allium {

void wipe(void* memory, std::size_t byte_count) noexcept {
  sodium_memzero(memory, byte_count);
}

bool equal(const void* left, const void* right, std::size_t byte_count) noexcept {
  // A MAC or two a packet are compared, so by words; sodium_memcmp goes byte by byte through memory.
  const auto* a = static_cast<const std::uint8_t*>(left);
  const auto* b = static_cast<const std::uint8_t*>(right);
  std::uint64_t difference = 0;
  std::size_t i = 0;
  for (; i + sizeof difference <= byte_count; i += sizeof difference) {
    difference |=
        internal::load_word<std::uint64_t>(a + i) ^ internal::load_word<std::uint64_t>(b + i);
    // The compiler does not know what is in it, so it cannot leave the loop early.
    asm("" : "+r"(difference));
  }
  for (; i < byte_count; ++i) {
    difference |= static_cast<std::uint64_t>(a[i] ^ b[i]);
    asm("" : "+r"(difference));
  }
  return difference == 0;
}

}  // namespace allium
