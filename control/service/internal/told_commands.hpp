// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this node has told its swarm of late, for those who are members as well and of whom it has not heard yet. What is stored they are given
// when it has (replica_push.hpp); of what was deleted or changed nothing is left to give.
//
//   Units      Unix milliseconds.
//   Ownership  borrows what it is made with.
//   Threads    the service thread.
//   Limits     kToldForMs and kToldBytesMax; what is older is forgotten first. Not beyond the end of the process.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "control/service/internal/patient_queue.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

/// How far a node may be behind the others with the network.
inline constexpr std::uint64_t kToldForMs = 3'600'000;
inline constexpr std::size_t kToldBytesMax = 16'000'000;

class ToldCommands {
 public:
  ToldCommands(const SwarmSurroundings& around, PatientQueue& queue)
      : around_(around), queue_(queue) {}

  /// `keys` have been told of the command, or have it in their queues.
  void told(const SwarmCommand& command, const std::vector<NodeKey>& keys);

  /// After Membership was updated: tells whoever should have been told.
  void membership_changed();

 private:
  struct Told {
    std::uint64_t at_ms = 0;
    SwarmCommand command;
    std::vector<NodeKey> keys;

    [[nodiscard]] std::size_t bytes() const noexcept {
      return command.method.size() + command.params.size() + keys.size() * sizeof(NodeKey);
    }
  };

  void drop_old();

  const SwarmSurroundings& around_;
  PatientQueue& queue_;
  std::deque<Told> told_;  ///< the oldest first
  std::size_t bytes_ = 0;
};

}  // namespace allium::control::internal
