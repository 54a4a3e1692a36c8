// SPDX-License-Identifier: Apache-2.0
#pragma once

// Secret bytes: wiped when they go out of scope, compared in constant time, never printed.
//
//   Ownership  the object owns its bytes. It can be copied only by name (`copy_from`), so that a
//              copy is always a decision.
//   Timing     `equal` takes the same time wherever the first difference is.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "crypto_accel/base/bytes.hpp"

namespace allium {

/// Overwrites memory in a way that the compiler may not leave out.
void wipe(void* memory, std::size_t byte_count) noexcept;

/// Constant-time comparison of `byte_count` bytes.
[[nodiscard]] bool equal(const void* left, const void* right, std::size_t byte_count) noexcept;

/// The same for two blocks, in place.
[[nodiscard]] inline bool equal_blocks(const std::uint8_t* left,
                                       const std::uint8_t* right) noexcept {
  using internal::load_word;
  std::uint64_t low = load_word<std::uint64_t>(left) ^ load_word<std::uint64_t>(right);
  // The compiler does not know what is in it, so it cannot leave after the first half.
  asm("" : "+r"(low));
  return (low | (load_word<std::uint64_t>(left + 8) ^ load_word<std::uint64_t>(right + 8))) == 0;
}

template <std::size_t N>
class Secret {
 public:
  static constexpr std::size_t kBytes = N;

  Secret() noexcept = default;

  explicit Secret(std::span<const std::uint8_t, N> source) noexcept {
    std::memcpy(bytes_.data(), source.data(), N);
  }

  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.clear(); }

  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      bytes_ = other.bytes_;
      other.clear();
    }
    return *this;
  }

  ~Secret() { clear(); }

  void copy_from(const Secret& other) noexcept { bytes_ = other.bytes_; }

  void clear() noexcept { wipe(bytes_.data(), N); }

  [[nodiscard]] std::uint8_t* data() noexcept { return bytes_.data(); }

  [[nodiscard]] const std::uint8_t* data() const noexcept { return bytes_.data(); }

  [[nodiscard]] std::array<std::uint8_t, N>& bytes() noexcept { return bytes_; }

  [[nodiscard]] const std::array<std::uint8_t, N>& bytes() const noexcept { return bytes_; }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

/// A plain value, zero at first, that is wiped when it goes out of scope.
template <typename T>
struct Wiped {
  T value;

  Wiped() noexcept : value{} {}

  ~Wiped() { wipe(&value, sizeof value); }

  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
};

}  // namespace allium
