// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes that one seed fixes: a ChaCha20 key stream under a key from seed and purpose. For devnets whose keys
// shall be the same again (--seed), never for a real node.
//
//   Threads    one an object.

#include <array>
#include <cstdint>
#include <string>

#include "crypto_accel/base/random.hpp"

namespace allium::devnet {

class SeededRandom {
 public:
  SeededRandom(std::uint64_t seed, const std::string& purpose);

  [[nodiscard]] Random source() noexcept { return {this, fill}; }

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept;

  std::array<std::uint8_t, 32> key_{};
  std::uint64_t nonce_ = 0;
};

}  // namespace allium::devnet
