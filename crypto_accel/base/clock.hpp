// SPDX-License-Identifier: Apache-2.0
#pragma once

// The time of day, for the edges of the programs: whatever has to do with time takes `now_ms` or a clock as an argument.
//
//   Units    Unix milliseconds or seconds, UTC.
//   Threads  any.

#include <chrono>
#include <cstdint>

namespace allium {

[[nodiscard]] inline std::uint64_t unix_ms() noexcept {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

[[nodiscard]] inline std::uint64_t unix_s() noexcept {
  return unix_ms() / 1000;
}

}  // namespace allium
