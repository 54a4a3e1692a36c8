// SPDX-License-Identifier: Apache-2.0
#pragma once

// Zeroed memory on a cache line, as a memfd gives it.

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

namespace allium::onion {

class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t byte_count)
      : byte_count_(byte_count),
        memory_(static_cast<std::byte*>(
            std::aligned_alloc(kLine, (byte_count + kLine - 1) / kLine * kLine))) {
    std::fill_n(memory_.get(), byte_count_, std::byte{0});
  }

  [[nodiscard]] std::span<std::byte> span() noexcept { return {memory_.get(), byte_count_}; }

 private:
  static constexpr std::size_t kLine = 64;

  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };

  std::size_t byte_count_;
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace allium::onion
