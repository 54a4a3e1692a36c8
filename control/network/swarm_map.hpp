// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which swarm an account belongs to: Session's mapping. Swarm ids lie on the ring of 64-bit numbers, and a point
// belongs to the nearer of its two neighbours there; half-way between them to the one before it.
//
//   Ownership  values.
//   Threads    const after it was made; reentrant.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace allium::control {

using SwarmId = std::uint64_t;

/// The id of nodes that are in no swarm (yet); never a swarm.
inline constexpr SwarmId kNoSwarm = ~std::uint64_t{0};

/// As oxend and the storage RPC write it: lower-case hex without leading zeros.
[[nodiscard]] std::string swarm_id_text(SwarmId swarm);

/// Points first, first + 1, ... last; both belong to it. It may run across the end of the ring: last < first.
struct PointRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  bool operator==(const PointRange&) const = default;
};

/// The points of both, as ranges that do not run across the end of the ring, rising.
[[nodiscard]] std::vector<PointRange> common_points(const PointRange& left,
                                                    const PointRange& right);

class SwarmMap {
 public:
  SwarmMap() = default;

  /// In any order; kNoSwarm and repetitions are left out.
  explicit SwarmMap(std::vector<SwarmId> ids);

  /// None: there is no swarm.
  [[nodiscard]] std::optional<SwarmId> swarm_of(std::uint64_t point) const noexcept;

  /// All points of a swarm. None: no such swarm.
  [[nodiscard]] std::optional<PointRange> points_of(SwarmId swarm) const noexcept;

  /// Rising.
  [[nodiscard]] const std::vector<SwarmId>& ids() const noexcept { return ids_; }

 private:
  std::vector<SwarmId> ids_;
};

/// The id of a swarm that is added to `swarms`, as oxend's chain chooses it: the middle of the widest gap on the ring of the ids that a
/// swarm can have, which kNoSwarm is not one of; 0 is the first. Of gaps as wide, the lowest.
[[nodiscard]] SwarmId new_swarm_id(const SwarmMap& swarms);

}  // namespace allium::control
