// SPDX-License-Identifier: Apache-2.0
#pragma once

// After the network has changed: gives those who have accounts now, and had them not, what this node has of these. replica_fetch.hpp
// is for whom that does not reach.
//
//   Ownership  borrows what it is made with.
//   Errors     what a member does not take goes into its queue. What cannot be read from the store is tried kPushAttempts times, and then
//              counted (lost_records).
//   Threads    the service thread.
//   Limits     one round of messages in memory at a time, of about kPushRoundBytes.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/service/internal/absent_members.hpp"
#include "control/service/internal/missed_intake.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

inline constexpr int kPushAttempts = 30;

class ReplicaPush {
 public:
  ReplicaPush(const SwarmSurroundings& around, AbsentMembers& absent, MissedIntake& intake,
              SwarmCounters& counters)
      : around_(around), absent_(absent), intake_(intake), counters_(counters) {}

  /// After Membership was updated: what this node had in `before` and others have now.
  void begin(const ServiceNodes& before, const NodeKey& own);

 private:
  struct Part {
    PointRange points;
    std::vector<NodeKey> targets;               ///< who should have its accounts and has not
    std::optional<storage::MessageId> after{};  ///< where the last round ended
    int attempts = 0;                           ///< to read what comes then
  };

  using Payload = std::shared_ptr<const std::string>;

  /// Messages on their way to where they belong now: range by range, and round by round.
  using Parts = std::vector<Part>;

  void push_next(const std::shared_ptr<Parts>& parts);
  [[nodiscard]] Result<std::vector<Payload>> next_round(Parts& parts);
  void try_later(const std::shared_ptr<Parts>& parts);
  void send(const NodeKey& key, const Payload& payload, const std::function<void()>& done);
  void send_plain(const NodeKey& key, const Payload& payload, const std::function<void()>& done);
  void taken(const NodeKey& key, const Payload& payload, bool is_taken,
             const std::function<void()>& done);
  void queue(const NodeKey& key, const Payload& payload, const std::function<void()>& done);

  const SwarmSurroundings& around_;
  AbsentMembers& absent_;
  MissedIntake& intake_;
  SwarmCounters& counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
