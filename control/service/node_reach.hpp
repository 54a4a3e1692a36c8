// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which other nodes answer, for whoever hands something on to them: an onion request to a dead node is refused at once, and those that
// wait for one end when it is found dead.
//
//   A node   alive --silent for 4 s while something waits for it, or let a request time out--> asked (sn.ping)
//            asked --answers anything--> alive,  --does not--> dead;  dead --answers--> alive (asked every 2 s)
//
//   Only the node's own silence counts, not that of others it waits for: it answers pings meanwhile. What was sent to it and is not
//   answered yet may still be on its way, with the ping behind it: that is granted time as well (kReachBytesPerMs).
//
//   Ownership  borrows what ReachSurroundings names.
//   Errors     a ping that this node could not send says nothing about the other.
//   Threads    the service thread.
//   Limits     one ping to a node at a time; nothing is kept of a node that is alive and has nothing to answer.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "control/service/membership.hpp"
#include "control/service/peer_transport.hpp"

namespace allium::control {

/// Clients give an onion request up after 10 s: the first of them shall hear of a dead node before.
inline constexpr std::uint64_t kReachPatienceMs = 4'000;
inline constexpr std::uint64_t kReachPingTimeoutMs = 4'000;
inline constexpr std::uint64_t kReachIntervalMs = 2'000;
inline constexpr std::uint64_t kReachBytesPerMs = 1'000;
/// At most so long: a client that has much sent to a node that stands still must not make everybody wait for it.
inline constexpr std::uint64_t kReachBehindMsMax = 8'000;

struct ReachSurroundings {
  const Membership& membership;
  PeerTransport& transport;
  std::function<std::uint64_t()> now_ms;  ///< of a clock that only goes forward
};

class NodeReach {
 public:
  explicit NodeReach(ReachSurroundings surroundings) : around_(std::move(surroundings)) {}

  ~NodeReach() { *is_alive_ = false; }

  NodeReach(const NodeReach&) = delete;
  NodeReach& operator=(const NodeReach&) = delete;

  [[nodiscard]] bool is_dead(const NodeKey& key) const;

  /// `byte_count` bytes were sent to the node and will be answered. The number is for ended(). `on_dead` is called, once at most and
  /// never from within, when the node is found dead before that; then it has ended.
  [[nodiscard]] std::uint64_t begun(const NodeKey& key, std::size_t byte_count,
                                    std::function<void()> on_dead);

  /// Answered or not, it is not waited for any more.
  void ended(const NodeKey& key, std::uint64_t number);

  /// The node answered something.
  void heard(const NodeKey& key);

  /// The node let a request time out. It is asked itself.
  void suspect(const NodeKey& key);

 private:
  struct Waiting {
    std::uint64_t begun_ms;
    std::size_t byte_count;
    std::function<void()> on_dead;
  };

  struct Node {
    std::map<std::uint64_t, Waiting> waiting;
    std::size_t waiting_bytes = 0;
    std::uint64_t heard_ms = 0;
    bool is_dead = false;
    bool is_asked = false;    ///< a ping is on its way, or is due
    bool is_watched = false;  ///< a timer looks at how long it has been silent
  };

  void watch(const NodeKey& key);
  void look(const NodeKey& key);
  void ask(const NodeKey& key);
  void ask_again(const NodeKey& key);
  void answered(const NodeKey& key, std::uint64_t asked_ms, const Result<PeerParts>& pong);
  void found_dead(const NodeKey& key);
  void forget_if_idle(const NodeKey& key);

  /// `then`, unless this object has gone by the time.
  template <typename F>
  auto while_alive(F then);

  ReachSurroundings around_;
  std::map<NodeKey, Node> nodes_;
  std::uint64_t last_number_ = 0;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
