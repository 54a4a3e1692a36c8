// SPDX-License-Identifier: Apache-2.0
#pragma once

// The commands that this node has begun: each is on its disk, in the queue that it has for itself, from before it goes out until
// every member has answered or has it in his queue. What a process leaves there when it dies is finished by the next. What this node
// could not do itself, a full store perhaps, stays there and is tried again every kRefusedRetryMs; the others are not asked again.
//
//   Ownership  borrows what it is made with.
//   Errors     where the store's reserve is half used, what an earlier process had begun and this node cannot do is kept for it no longer
//              (lost_records): deletions need that room.
//   Threads    the service thread.
//   Limits     kHandOverBytesMax are in memory at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
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

  /// Every member has had these commands, and this node too.
  void end(const std::vector<std::uint64_t>& numbers);

  /// Somebody has missed this one, and nobody keeps it for him: all are told again, as the next process would.
  void finish_later(std::uint64_t number);

  /// Such a command has come into this node's queue for itself (PatientQueue).
  void finish_later();

  /// Whether there is room to keep what this node could not do.
  [[nodiscard]] bool may_do_again() const;

  /// Every member has had this one, and this node could not do it. Where may_do_again().
  void do_again(std::uint64_t number);

 private:
  /// Some of what nobody here is at work on, and by whom it has not been taken yet.
  struct Page {
    std::vector<storage::Missed> begun;
    std::uint64_t last = 0;  ///< of what was read
    std::string payload;
    std::set<NodeKey> members;
    bool is_for_us = true;
    std::vector<std::size_t> refused_here;  ///< places in `begun`
  };

  void begun(const Result<std::uint64_t>& number);
  void forget_ended();
  void finish_behind(std::uint64_t after);
  [[nodiscard]] std::optional<SwarmId> swarm_of(const storage::Missed& begun) const;
  void hand_on(const std::shared_ptr<Page>& page);
  void hand_on_to(const NodeKey& key, const Page& page, std::function<void(bool)> done);
  void finished(const Page& page);
  void try_later(std::uint64_t after_ms);
  void try_some();
  void tried(const std::vector<storage::Missed>& some, const PeerParts& reply);

  const SwarmSurroundings& around_;
  AbsentMembers& absent_;
  MissedIntake& intake_;
  SwarmCounters& counters_;
  std::set<std::uint64_t>
      known_;  ///< in this node's queue for itself, and somebody here is at work on it
  std::vector<std::uint64_t> ended_;  ///< numbers there of what all members have had
  bool is_forgetting_ = false;
  bool is_finishing_ = false;
  bool is_to_finish_again_ = false;
  StorageRpc* rpc_ = nullptr;       ///< from finish() on
  std::set<std::uint64_t> open_;    ///< numbers there of what only this node has not done
  std::uint64_t tried_number_ = 0;  ///< the last of them that was tried
  bool is_trying_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
