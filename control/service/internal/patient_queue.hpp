// SPDX-License-Identifier: Apache-2.0
#pragma once

// On its way into the queues of members, of what nobody waits for: what this node's disk does not take now (it is full, or there are no
// descriptors) is tried again until it does.
//
//   Ownership  borrows what it is made with.
//   Errors     what does not fit is counted (lost_records).
//   Threads    the service thread.
//   Limits     kPatientBytesMax; kPatientBatchBytes are on their way at once, so that the store's queue has room for clients. Not
//              beyond the end of the process.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/service/internal/absent_members.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

/// All that ToldCommands has, for ten members.
inline constexpr std::size_t kPatientBytesMax = 160'000'000;
inline constexpr std::size_t kPatientBatchBytes = 1'000'000;
inline constexpr std::uint64_t kPatientRetryMs = 10'000;

class PatientQueue {
 public:
  PatientQueue(const SwarmSurroundings& around, AbsentMembers& absent, SwarmCounters& counters)
      : around_(around), absent_(absent), counters_(counters) {}

  /// Into the queue of a node of the network, who is behind from then on; or into kBegunQueue, and on_begun() is called.
  void add(const NodeKey& key, std::string record);

  void on_begun(std::function<void()> call) { begun_ = std::move(call); }

 private:
  void go_on();
  void queue(const NodeKey& key, std::vector<std::string> records,
             std::function<void(bool is_queued)> done);
  void queued(const NodeKey& key, std::size_t count);

  const SwarmSurroundings& around_;
  AbsentMembers& absent_;
  SwarmCounters& counters_;
  std::map<NodeKey, std::deque<std::string>> waiting_;  ///< none of them empty
  std::size_t bytes_ = 0;                               ///< in it
  NodeKey last_{};                                      ///< whose turn it was
  bool is_busy_ = false;
  std::function<void()> begun_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
