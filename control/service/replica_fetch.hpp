// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a node comes to all the messages of its swarm when it has not been there all along: it asks those that have had them.
//
// Members push what a new one lacks as soon as they know of it (swarm_peers.hpp). That reaches nobody who does not know yet that
// he is meant, who was away while it happened, or whose disk is new. So each node keeps a word of which network its store is whole
// for (`held`), and fetches what lies between that and the network of today, until it is whole again.
//
//   From whom    the members, in the network it was whole for, of the swarms whose accounts are its own now. Where it knows of none:
//                    the other members of its swarm, and of the two swarms beside it on the ring, from which its accounts may have come.
//   Before           a copy of what was not its own meanwhile is worth nothing: what was deleted since would come back. When the first
//                    of those it asks has answered, it erases its own, and then takes theirs.
//   sn.allium_fetch  request, a bt dict: `g` height of the network, `f` and `t` first and last point (8 bytes, big-endian), and where
//                    the last answer ended, `a` account and `h` hash; where that message has gone, its account comes anew. Reply: "OK", messages (serialise_replicas), and where to go on
//                    (a bt dict of `a` and `h`), empty at the end; or a status and a text. Only what is the asking node's own.
//                    With `k` "r", revocations: a bt list of [account, token, timestamp, stamp], and the account where to go on (the
//                    next request's `a`), empty at the end. They are the member's word, which no client has signed: all that it can do is
//                    to keep a subaccount out here.
//
//   Ownership  borrows what FetchSurroundings names.
//   Errors     a member that does not answer is asked again, for as long as it is in the network.
//   Threads    the service thread.
//   Limits     kFetchBytesMax and kFetchVisitsMax a reply; one request at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "control/service/membership.hpp"
#include "control/service/peer_transport.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::size_t kFetchBytesMax = 1'000'000;
/// Messages that one request looks at, its own or not.
inline constexpr std::size_t kFetchVisitsMax = 10'000;
inline constexpr std::size_t kFetchRevokedMax = 5'000;
inline constexpr std::uint64_t kFetchTimeoutMs = 20'000;
inline constexpr std::uint64_t kFetchRetryMs = 5'000;

/// Stores messages as sn.data has them; replies as that command does.
using TakePushed = std::function<void(std::string_view payload, std::function<void(PeerParts)>)>;

struct FetchSurroundings {
  storage::MessageStore& store;
  const Membership& membership;
  PeerTransport& transport;
  std::function<std::uint64_t()> now_ms;
  std::function<void(std::function<void()>)> post;  ///< to the service thread; any thread
  TakePushed take;
  std::function<void(const NodeKey& ed25519)> on_given;  ///< this node was given something
  std::function<void(const std::string&)> on_held;       ///< a new text to keep; may be empty
};

struct FetchCounters {
  std::uint64_t pages = 0;   ///< that were taken
  std::uint64_t served = 0;  ///< messages given to others
  std::uint64_t parts_open = 0;
};

class ReplicaFetch {
 public:
  /// `held` is what on_held() was last told, by an earlier process too; empty: nothing.
  ReplicaFetch(FetchSurroundings surroundings, std::string_view held);
  ReplicaFetch(const ReplicaFetch&) = delete;
  ReplicaFetch& operator=(const ReplicaFetch&) = delete;

  /// After Membership was updated, and at the start.
  void membership_changed();

  /// sn.allium_fetch of the node with this X25519 key.
  void answer(const NodeKey& x25519, std::string_view request,
              const std::function<void(PeerParts)>& reply);

  [[nodiscard]] const FetchCounters& counters() const noexcept { return counters_; }

 private:
  /// What one member is to be asked for.
  struct Part {
    NodeKey source{};
    PointRange points;
    bool has_revocations = false;
    std::string next;  ///< where its last answer ended, of revocations first

    [[nodiscard]] auto name() const { return std::tuple(source, points.first, points.last); }
  };

  [[nodiscard]] std::vector<Part> parts_wanted() const;
  void add_parts(std::vector<Part>& parts, const std::vector<const ServiceNode*>& members,
                 const PointRange& theirs) const;
  void plan();
  void go_on();
  void go_on_later();
  void ask();
  void ask_for_messages(const ServiceNode& node, const Part& part);
  void ask_for_revocations(const ServiceNode& node, const Part& part);
  void forget_then_ask(const PointRange& points);
  void take_revocations(const Part& part, std::string_view list, const std::string& next);
  void answer_revocations(const ServiceNode& node, const storage::Scan& scan,
                          const std::function<void(PeerParts)>& reply);
  void later();
  void taken(const Part& asked, const std::string& next);
  [[nodiscard]] std::string request_text(const Part& part) const;
  void set_held(std::shared_ptr<const ServiceNodes> network);
  void keep_held();

  FetchSurroundings around_;
  // Read with held_: made before it, or it would be 0 again after that.
  std::uint64_t gaining_ms_ = 0;  ///< since when there has been something to fetch; 0: not
  std::shared_ptr<const ServiceNodes>
      held_;  ///< the network that the store is whole for; null: none
  std::vector<Part> open_;
  std::set<std::tuple<NodeKey, std::uint64_t, std::uint64_t>> done_;  ///< since held_
  std::set<std::pair<std::uint64_t, std::uint64_t>> forgotten_;       ///< ranges, since held_
  bool is_busy_ = false;
  FetchCounters counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
