// SPDX-License-Identifier: Apache-2.0
#pragma once

// Slots, epochs, hours and expiry units of a moment (SPEC.md section 3).
//
//   Units      now_ms is Unix time in milliseconds, UTC.

#include <cstdint>
#include <optional>

#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

constexpr std::uint64_t seconds_of(std::uint64_t now_ms) noexcept {
  return now_ms / 1000;
}

constexpr std::uint64_t slot_of(std::uint64_t now_ms) noexcept {
  return seconds_of(now_ms) / kSlotSeconds;
}

constexpr std::uint64_t epoch_of(std::uint64_t now_ms) noexcept {
  return seconds_of(now_ms) / kEpochSeconds;
}

constexpr std::uint64_t hour_of(std::uint64_t now_ms) noexcept {
  return seconds_of(now_ms) / kHourSeconds;
}

constexpr std::uint64_t unit10_of(std::uint64_t now_ms) noexcept {
  return seconds_of(now_ms) / 10;
}

/// The epoch whose replay key serves a slot (section 9, step 9).
constexpr std::uint64_t epoch_of_slot(std::uint64_t slot) noexcept {
  return slot * kSlotSeconds / kEpochSeconds;
}

/// exp of everything issued in `epoch` (section 3).
constexpr std::uint16_t expiry_of_epoch(std::uint64_t epoch) noexcept {
  return static_cast<std::uint16_t>(60 * (epoch + 2));
}

/// The slot among {c, c-1, c+1} whose low byte is `low`; none: the packet is stale (section 3).
constexpr std::optional<std::uint64_t> slot_near(std::uint64_t current, std::uint8_t low) noexcept {
  const auto above_lowest = static_cast<std::uint8_t>(low - static_cast<std::uint8_t>(current - 1));
  return above_lowest <= 2 ? std::optional(current - 1 + above_lowest) : std::nullopt;
}

}  // namespace allium::onion
