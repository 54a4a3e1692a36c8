// SPDX-License-Identifier: Apache-2.0
#pragma once

// The time that documents and starts of nodes are told by.

#include <time.h>

#include <cstdint>

namespace allium::devnet {

/// Unix milliseconds.
[[nodiscard]] inline std::uint64_t wall_clock_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 +
         static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace allium::devnet
