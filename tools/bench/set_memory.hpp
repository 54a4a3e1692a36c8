// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory for a replay set or a handle table: anonymous, zero, on huge pages where the kernel gives them.
//
//   Ownership  owns the mapping.
//   Errors     no memory is an end of the program: nothing can be measured.
//   Threads    one.

#include <cstddef>
#include <span>

namespace allium::bench {

class SetMemory {
 public:
  explicit SetMemory(std::size_t byte_count);
  ~SetMemory();
  SetMemory(const SetMemory&) = delete;
  SetMemory& operator=(const SetMemory&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {memory_, byte_count_}; }

  /// Bytes of it that the kernel put on huge pages; they come with the first writes.
  [[nodiscard]] std::size_t huge_bytes() const;

 private:
  std::byte* memory_;
  std::size_t byte_count_;
};

}  // namespace allium::bench
