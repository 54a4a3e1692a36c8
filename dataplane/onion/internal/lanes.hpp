// SPDX-License-Identifier: Apache-2.0
#pragma once

// Walking over the lanes of a mask, and pointers into their datagrams.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/onion/burst.hpp"

namespace allium::onion::internal {

constexpr LaneMask lane_bit(std::size_t lane) noexcept {
  return LaneMask{1} << lane;
}

/// function(lane) for every lane of the mask, lowest first.
template <typename Function>
void for_each_lane(LaneMask lanes, Function function) noexcept {
  for (; lanes != 0; lanes &= lanes - 1) {
    function(static_cast<std::size_t>(std::countr_zero(lanes)));
  }
}

/// The lanes for which predicate(lane) holds.
template <typename Predicate>
LaneMask select_lanes(LaneMask lanes, Predicate predicate) noexcept {
  LaneMask selected = 0;
  for_each_lane(
      lanes, [&](std::size_t lane) { selected |= predicate(lane) ? lane_bit(lane) : LaneMask{0}; });
  return selected;
}

inline LaneMask lanes_of_type(const Burst& burst, LaneMask lanes, PacketType type) noexcept {
  return lanes & lanes_with(burst.type, type);
}

/// function(type, mask) for every packet type that some of `lanes` have: the kernels want lanes of one
/// shape.
template <typename Function>
void for_each_type(const Burst& burst, LaneMask lanes, Function function) noexcept {
  while (lanes != 0) {
    const PacketType type = burst.type[static_cast<std::size_t>(std::countr_zero(lanes))];
    const LaneMask same = lanes_of_type(burst, lanes, type);
    function(type, same);
    lanes &= ~same;
  }
}

inline Lanes<const std::uint8_t*> read_at(const Burst& burst, LaneMask lanes,
                                          std::size_t offset) noexcept {
  Lanes<const std::uint8_t*> pointers;  // kernels read those of the mask alone
  for_each_lane(lanes, [&](std::size_t lane) { pointers[lane] = burst.data[lane] + offset; });
  return pointers;
}

inline Lanes<std::uint8_t*> write_at(const Burst& burst, LaneMask lanes,
                                     std::size_t offset) noexcept {
  Lanes<std::uint8_t*> pointers;
  for_each_lane(lanes, [&](std::size_t lane) { pointers[lane] = burst.data[lane] + offset; });
  return pointers;
}

}  // namespace allium::onion::internal
