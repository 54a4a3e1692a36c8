// SPDX-License-Identifier: Apache-2.0
#pragma once

// The commands that this node has begun: each is on its disk, in the queue that it has for itself, from before it goes out until
// every member has answered or has it in his queue. What a process leaves there when it dies is finished by the next.
//
//   Ownership  borrows what it is made with.
//   Threads    the service thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/service/internal/absent_members.hpp"
#include "control/service/internal/missed_intake.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

class BegunCommands {
 public:
  BegunCommands(const SwarmSurroundings& around, AbsentMembers& absent, MissedIntake& intake,
                SwarmCounters& counters)
      : around_(around), absent_(absent), intake_(intake), counters_(counters) {}

  /// Finishes what earlier processes had begun; tries again until it is done. `rpc` outlives that.
  void finish(StorageRpc& rpc);

  /// Puts a command on disk, and then calls `then` with its number.
  void begin(std::string record, std::function<void(const Result<std::uint64_t>& number)> then);

  /// Every member has had these commands.
  void end(const std::vector<std::uint64_t>& numbers);

 private:
  void begun(const Result<std::uint64_t>& number);
  void forget_ended();
  void hand_on(StorageRpc& rpc, const std::vector<storage::Missed>& begun);
  void hand_on_to(const NodeKey& key, const std::vector<storage::Missed>& begun,
                  const std::string& payload, std::function<void(bool)> done);

  const SwarmSurroundings& around_;
  AbsentMembers& absent_;
  MissedIntake& intake_;
  SwarmCounters& counters_;
  std::uint64_t first_number_ = 0;    ///< of this process, in this node's queue for itself
  std::vector<std::uint64_t> ended_;  ///< numbers there of what all members have had
  bool is_forgetting_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
