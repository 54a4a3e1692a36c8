// SPDX-License-Identifier: Apache-2.0
#pragma once

// The time of day, as alliumd's own parts take it.

#include <chrono>
#include <cstdint>

namespace allium::control {

[[nodiscard]] inline std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

[[nodiscard]] inline std::uint64_t unix_s() {
  return unix_ms() / 1000;
}

}  // namespace allium::control
