// SPDX-License-Identifier: Apache-2.0
#pragma once

// The members of the swarm that are dead or behind: finds out who is dead, asks them whether they are back, keeps in a queue on disk what
// they miss, and hands it over when they are.
//
//   Ownership  borrows what it is made with.
//   Errors     a record that cannot be queued is counted (lost_records).
//   Threads    the service thread.
//   Limits     kHandOverBytesMax a request of hand-over; the queue is bounded by the store.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

/// How members of our kind know each other by their pong.
inline constexpr std::string_view kOurKind = "allium";

/// Which of `count` records a reply to sn.allium_late says were refused, rising; nullopt: it took none.
[[nodiscard]] std::optional<std::vector<std::size_t>> refused_records(const PeerParts& reply,
                                                                      std::size_t count);

class AbsentMembers {
 public:
  AbsentMembers(const SwarmSurroundings& around, SwarmCounters& counters)
      : around_(around), counters_(counters) {}

  /// With those for whom the store has a queue.
  void start();

  /// Whom to tell of a member that answers.
  void on_answer(std::function<void(const NodeKey& key)> call) { on_answer_ = std::move(call); }

  [[nodiscard]] bool is_dead(const NodeKey& key) const noexcept;
  [[nodiscard]] bool is_behind(const NodeKey& key) const noexcept;

  void set_dead(const NodeKey& key);

  /// It answers, and has missed something. Where it is dead or behind already, it stays so. What is new goes to it at once and
  /// may overtake what it missed: stamps tell what was asked for later. It would not catch up with a swarm that has much to do if
  /// that went into its queue as well.
  void set_behind(const NodeKey& key);

  /// `done`: it is on disk, or (false) lost.
  void queue(const NodeKey& key, std::string record, std::function<void(bool is_queued)> done);
  /// The same; whoever asks tries again, or another member, so what could not be queued is not counted as lost.
  void queue(const NodeKey& key, std::vector<std::string> records,
             std::function<void(bool is_queued)> done);

  /// Of a record: that nobody has its messages any more, deleted or expired long ago (kMootAfterMs).
  [[nodiscard]] bool is_moot(std::string_view text) const;

 private:
  enum class State : std::uint8_t { alive, dead, behind };
  enum class HandOver : std::uint8_t { commands, messages };

  struct Member {
    State state = State::alive;
    HandOver hand_over = HandOver::commands;
    bool is_busy = false;      ///< a probe or a hand-over is on its way
    std::size_t queueing = 0;  ///< records on their way to the disk
    bool is_waiting = false;   ///< to be handed what is being queued
    /// Of its queue: what it has, and the disk would not let go of yet.
    std::set<std::uint64_t> had;
  };

  void watch_later();
  void watch();
  void watch(const NodeKey& key, int attempts);
  void tidy_later();
  void tidy_queues();
  void tidy_queue(const NodeKey& key, std::uint64_t after);
  [[nodiscard]] PeerParts parts_for(HandOver how, const std::vector<storage::Missed>& missed) const;
  /// That, with another time than kMootAfterMs; 0: also what would come back is moot.
  [[nodiscard]] bool is_moot(std::string_view text, std::uint64_t expired_for_ms) const;
  [[nodiscard]] std::string as_it_is_now(const std::string& text) const;
  void queued(const NodeKey& key);
  void probe_later(const NodeKey& key, std::uint64_t after_ms = kProbeIntervalMs);
  void probe(const NodeKey& key);
  void hand_over(const NodeKey& key, std::uint64_t after = 0);
  [[nodiscard]] bool is_for(const NodeKey& key, std::string_view text) const;

  /// Messages whose lives a client extended, and when it first asked for that, of what is asked about here.
  using Extended = std::map<storage::Account, std::map<storage::Hash, storage::Stamp>>;

  [[nodiscard]] Extended extended_in(const std::vector<storage::Missed>& missed) const;
  void queue_extended(const NodeKey& key, const std::shared_ptr<Extended>& extended,
                      const std::optional<storage::MessageId>& after,
                      const std::function<void(bool is_queued)>& done);

  /// What was read of a queue at once.
  struct Page {
    std::uint64_t after = 0;
    std::uint64_t last = 0;
    std::vector<storage::Missed> missed;
    std::vector<std::uint64_t> had;
  };

  void handed_over(const NodeKey& key, const Page& page, const std::vector<std::size_t>& refused);
  void erase(const NodeKey& key, std::vector<std::uint64_t> numbers, std::uint64_t next,
             std::uint64_t last);
  void forget(const NodeKey& key);

  const SwarmSurroundings& around_;
  SwarmCounters& counters_;
  std::function<void(const NodeKey& key)> on_answer_;
  std::map<NodeKey, Member> members_;  ///< those about whom there is something to say
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
