// SPDX-License-Identifier: Apache-2.0
#pragma once

// Link sequence numbers of the node: one counter an epoch, from the range that the controlling side
// handed out for this start (SPEC.md section 4). Workers take blocks of at most 64, so that a number
// tells nothing about the worker.
//
//   Threads    set_range: the main thread. take_block: any worker.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "crypto_accel/base/bytes.hpp"

namespace allium::dataplane {

struct SequenceBlock {
  std::uint64_t epoch = 0;
  std::uint64_t next = 0;
  std::uint64_t end = 0;
};

class SequenceNumbers {
 public:
  static constexpr std::uint64_t kBlock = 64;

  /// The range [first, end) of an epoch. A range that this start has already is left alone.
  void set_range(std::uint64_t epoch, std::uint64_t first, std::uint64_t end) noexcept {
    Range& range = ranges_[epoch % ranges_.size()];
    if (range.epoch.load(std::memory_order_relaxed) == epoch) {
      return;
    }
    range.epoch.store(kNoEpoch, std::memory_order_relaxed);
    range.next.store(first, std::memory_order_relaxed);
    range.end.store(end, std::memory_order_relaxed);
    range.epoch.store(epoch, std::memory_order_release);
  }

  /// An empty block where the range has ended or is not there.
  [[nodiscard]] SequenceBlock take_block(std::uint64_t epoch) noexcept {
    Range& range = ranges_[epoch % ranges_.size()];
    if (range.epoch.load(std::memory_order_acquire) != epoch) {
      return {epoch, 0, 0};
    }
    const std::uint64_t end = range.end.load(std::memory_order_relaxed);
    if (range.next.load(std::memory_order_relaxed) >= end) {
      return {epoch, 0, 0};
    }
    const std::uint64_t first = range.next.fetch_add(kBlock, std::memory_order_relaxed);
    return {epoch, std::min(first, end), std::min(first + kBlock, end)};
  }

 private:
  static constexpr std::uint64_t kNoEpoch = ~std::uint64_t{0};

  struct Range {
    std::atomic<std::uint64_t> epoch{kNoEpoch};
    std::atomic<std::uint64_t> next{0};
    std::atomic<std::uint64_t> end{0};
  };

  // Eight epochs are 80 minutes: a place is used again long after its keys were erased.
  std::array<Range, 8> ranges_;
};

}  // namespace allium::dataplane
