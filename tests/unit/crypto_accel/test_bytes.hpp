// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes for tests: from hex literals as they are printed in standards, and random ones that are the
// same in every run.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

#include "crypto_accel/base/bytes.hpp"

namespace allium::test {

using ByteVector = std::vector<std::uint8_t>;

/// Ignores blanks between the digits.
inline ByteVector hex(std::string_view digits) {
  ByteVector bytes;
  unsigned int value = 1;
  for (const char digit : digits) {
    if (digit == ' ') {
      continue;
    }
    const unsigned int nibble =
        static_cast<unsigned int>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    value = value << 4 | nibble;
    if (value >= 0x100) {
      bytes.push_back(static_cast<std::uint8_t>(value & 0xff));
      value = 1;
    }
  }
  return bytes;
}

template <std::size_t N>
std::array<std::uint8_t, N> hex_array(std::string_view digits) {
  const ByteVector bytes = hex(digits);
  std::array<std::uint8_t, N> result{};
  std::copy_n(bytes.begin(), bytes.size() == N ? N : throw "wrong length of a literal",
              result.begin());
  return result;
}

inline Block hex_block(std::string_view digits) {
  return hex_array<16>(digits);
}

/// The same sequence in every run.
class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : engine_(seed) {}

  void fill(MutableBytes target) {
    for (std::uint8_t& byte : target) {
      byte = static_cast<std::uint8_t>(engine_());
    }
  }

  template <std::size_t N>
  std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> bytes{};
    fill(bytes);
    return bytes;
  }

  Block block() { return array<16>(); }

  ByteVector bytes(std::size_t byte_count) {
    ByteVector result(byte_count);
    fill(result);
    return result;
  }

  std::uint32_t word() { return static_cast<std::uint32_t>(engine_() >> 32); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace allium::test
