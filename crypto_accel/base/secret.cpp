// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/secret.hpp"

#include <sodium.h>

namespace allium {

void wipe(void* memory, std::size_t byte_count) noexcept {
  sodium_memzero(memory, byte_count);
}

bool equal(const void* left, const void* right, std::size_t byte_count) noexcept {
  return sodium_memcmp(left, right, byte_count) == 0;
}

}  // namespace allium
