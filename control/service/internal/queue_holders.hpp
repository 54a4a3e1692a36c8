// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which members of the swarm may have queued what this node missed, and nobody else has queued it. A member hands that over when this node
// is back. One that leaves the network before, or loses its store, takes it along: then the others are to be asked for all they have.
//
//   Units      Unix milliseconds.
//   Ownership  values.
//   Errors     none. A member taken for a holder that is none costs one comparison with the swarm.
//   Threads    the service thread.

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "control/network/service_nodes.hpp"

namespace allium::control::internal {

/// Members ask each other whether they are there every kWatchIntervalMs: of whom none has answered for so long was not there itself.
inline constexpr std::uint64_t kCutOffMs = 60'000;
/// What a member has for one that is back it has handed over.
inline constexpr std::uint64_t kHandedOverMs = 60'000;

class QueueHolders {
 public:
  /// This node was not there while `network` was, in which its key was `own`.
  void was_away(const ServiceNodes& network, const NodeKey& own);

  /// The network is `now`, and this node is `own`. True: one has left it that may have had something.
  [[nodiscard]] bool update(const ServiceNodes& now, const NodeKey& own, std::uint64_t now_ms);

  /// This one, of its swarm, answers: within kHandedOverMs it has handed over what it had, where this node `can_take` it.
  void answers(const NodeKey& key, bool can_take, std::uint64_t now_ms);

  /// This one has queued something that this node could not write.
  void owes(const NodeKey& key);

  /// This one has lost its store. True: it may have had something.
  [[nodiscard]] bool lost_its_store(const NodeKey& key, std::uint64_t now_ms);

  /// All who may have something.
  [[nodiscard]] std::vector<NodeKey> may_owe(std::uint64_t now_ms) const;

 private:
  void was_away();
  [[nodiscard]] bool is_cut_off(std::uint64_t now_ms) const;
  [[nodiscard]] bool may_owe(const NodeKey& key, std::uint64_t now_ms) const;

  std::set<NodeKey> swarm_;                       ///< without this node
  std::set<NodeKey> holders_;                     ///< of when this node was away last
  std::map<NodeKey, std::uint64_t> answered_ms_;  ///< first since then
  std::uint64_t answer_ms_ = 0;                   ///< the last, of anyone; 0: none
};

}  // namespace allium::control::internal
