// SPDX-License-Identifier: Apache-2.0
#pragma once

// What HeldPoints knows and keeps beyond the process, and the text that it is kept as: lines of words, counts before lists, "end" at the end.
// Ranges of points, in which it is said.
//
//   Units      Unix milliseconds.
//   Ownership  values; shares the network.
//   Errors     nullopt: damaged, of another form, or about another store.
//   Threads    reentrant.
//   Limits     100,000 entries a list.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/service_nodes.hpp"
#include "control/network/swarm_map.hpp"

namespace allium::control::internal {

/// Ranges that do not run across the end of the ring.
using Points = std::vector<PointRange>;

[[nodiscard]] bool overlap(const PointRange& one, const PointRange& other);
[[nodiscard]] Points common(const Points& left, const PointRange& right);
[[nodiscard]] Points without(Points points, const Points& taken);

/// Whose swarm's these are; none where it is in no swarm.
[[nodiscard]] Points points_of(const ServiceNodes& network, const NodeKey& key);

/// Wanted::distance of those of whom nothing is known.
inline constexpr std::uint32_t kStranger = UINT32_MAX;
/// Of those who are asked what was deleted, and for nothing else.
inline constexpr std::uint32_t kComparedOnly = UINT32_MAX - 1;

/// What one member is to be asked for.
struct Wanted {
  NodeKey source{};
  PointRange points;
  std::uint64_t since_ms = 0;
  /// 0: it had them until this node got them; otherwise others have had them since, the more of them the farther. It may have what was
  /// deleted with these.
  std::uint32_t distance = 0;
  /// From when on this node has all the same what the others know to be there: another one has given it.
  std::uint64_t covered_ms = UINT64_MAX;
  /// When it answered last, and whether others have been asked since it does not; in this process.
  std::uint64_t heard_ms = 0;
  bool is_doubted = false;

  bool operator==(const Wanted&) const = default;
};

/// Points of which this node has a copy from before others had them, and when these got them.
struct OldCopy {
  PointRange points;
  std::uint64_t until_ms = 0;

  bool operator==(const OldCopy&) const = default;
};

/// Its own points, of which it does not know who has had them.
struct Doubt {
  PointRange points;
  std::uint64_t since_ms = 0;
};

/// Since when points are this node's own, or are not any more, and whose they were before.
struct Tenure {
  PointRange points;
  std::uint64_t since_ms = 0;
  std::vector<NodeKey> from;
  std::uint64_t given_ms = 0;  ///< something, last; in this process
};

struct HeldLedger {
  std::shared_ptr<const ServiceNodes>
      network;                ///< the last, of an earlier process keys and swarms alone; null: none
  std::uint64_t height = 0;   ///< its
  NodeKey own_key{};          ///< in it
  std::vector<Doubt> doubts;  ///< until all strangers have been asked
  std::vector<OldCopy> copies;   ///< of what was others' since, or is
  std::vector<Wanted> wanted;    ///< also of what is others' now
  std::vector<Wanted> compared;  ///< the same
  std::vector<Tenure> tenures;   ///< of this node's own points
  std::deque<Tenure> past;       ///< of what is others' now
};

/// `store`: in which the messages are, for what is said of one says nothing of another. Empty where there was no network.
[[nodiscard]] std::string write_ledger(const HeldLedger& ledger, const std::string& store);

[[nodiscard]] std::optional<HeldLedger> read_ledger(std::string_view text,
                                                    const std::string& store);

}  // namespace allium::control::internal
