// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes and numbers that one seed fixes (splitmix64), so that a failure can be run again.
//
//   Threads    one an object.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::property {

using Buffer = std::vector<std::uint8_t>;

class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }

  /// 0 to bound - 1. Requires bound > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

  /// True once in `odds` times.
  [[nodiscard]] bool one_in(std::uint64_t odds) noexcept { return below(odds) == 0; }

  void fill(MutableBytes target) noexcept {
    for (std::size_t i = 0; i < target.size(); i += 8) {
      std::array<std::uint8_t, 8> word{};
      store_be(word.data(), next(), word.size());
      const std::size_t count = target.size() - i < word.size() ? target.size() - i : word.size();
      std::memcpy(target.data() + i, word.data(), count);
    }
  }

  [[nodiscard]] Buffer bytes(std::size_t byte_count) {
    Buffer result(byte_count);
    fill(result);
    return result;
  }

  [[nodiscard]] Block block() noexcept {
    Block result{};
    fill(result);
    return result;
  }

  [[nodiscard]] Random source() noexcept { return {this, fill_from}; }

 private:
  static void fill_from(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
    static_cast<SeededRandom*>(self)->fill({target, byte_count});
  }

  std::uint64_t state_;
};

}  // namespace allium::property
