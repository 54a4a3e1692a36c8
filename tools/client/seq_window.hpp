// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which sequence numbers have come back already: a window of 1024 behind the highest one (SPEC.md
// section 8; one object for each class and value of bit 63).
//
//   Threads    one.
//   Limits     numbers more than 1023 behind the highest are taken for repeats.

#include <bitset>
#include <cstddef>
#include <cstdint>

namespace allium::client {

class SeqWindow {
 public:
  static constexpr std::uint64_t kNumbers = 1024;

  /// True once for each number that is new and not too old.
  [[nodiscard]] bool accept(std::uint64_t seq) noexcept {
    if (!any_ || seq > highest_) {
      advance(seq);
    } else if (highest_ - seq >= kNumbers || seen_[index(seq)]) {
      return false;
    }
    seen_[index(seq)] = true;
    return true;
  }

 private:
  static std::size_t index(std::uint64_t seq) noexcept { return seq % kNumbers; }

  /// Forgets the numbers that fall out of the window and those that are passed over.
  void advance(std::uint64_t seq) noexcept {
    if (!any_ || seq - highest_ >= kNumbers) {
      seen_.reset();
    } else {
      for (std::uint64_t passed = highest_ + 1; passed != seq; ++passed) {
        seen_[index(passed)] = false;
      }
    }
    any_ = true;
    highest_ = seq;
  }

  bool any_ = false;
  std::uint64_t highest_ = 0;
  std::bitset<kNumbers> seen_;
};

}  // namespace allium::client
