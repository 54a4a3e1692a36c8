// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a node comes to all the messages of its swarm when it has not been there all along: it asks those that have had them.
//
// Members push what a new one lacks as soon as they know of it (swarm_peers.hpp). That reaches nobody who does not know yet that
// he is meant, who was away while it happened, or whose disk is new. So each node keeps a word of the network that it has seen last and of
// what it lacks in it (internal/held_points.hpp), and fetches that.
//
//   From whom    the members of the swarms whose accounts its own were in the network before. Where it has not seen every network as it
//                    came: the other members of its swarm, and then all other nodes, strangers, who are first asked whether they have had
//                    any of it. Who has not come to all of it himself says so (PART), and whom he wants to ask: they are asked as well.
//   Before           a copy of what was not its own meanwhile, or may not have been, may have what was deleted since. So it first asks about
//                    each of these messages and revocations. What the other has a trace of having been deleted, or taken back, is erased
//                    here, and nothing else: that somebody has not got a message says nothing, this copy may be the only one.
//   Queues           what was acknowledged while this node was away may be in the queue of one member alone. Where that one leaves the network
//                    before it has handed it over, or asks for everything itself since it has lost its store, the swarm is asked
//                    (internal/queue_holders.hpp).
//   Afterwards       so may what others give, who had missed a deletion, or have not compared their own copies yet. What is older than this
//                    node's time as owner it asks its swarm about, and those who had the accounts before it (HeldPoints::given()).
//   sn.allium_fetch  request, a bt dict: `g` height of the network, `f` and `t` first and last point (8 bytes, big-endian), and where
//                    the last answer ended, `a` account and `h` hash; where that message has gone, its account comes anew. Reply: "OK" or
//                    "PART", messages (serialise_replicas), and where to go on (a bt dict of `a` and `h`), empty at the end, a bt list of
//                    the keys (Ed25519) of those whom the other wants to ask, and one of those who had it before him, and may know what was
//                    deleted then; or a status and a text. Only what is the asking node's own. Who has never known of some of these accounts
//                    names himself: anybody may have them.
//                    With `k` "r", revocations: a bt list of [account, token, timestamp, stamp], and the account where to go on (the
//                    next request's `a`), empty at the end. They are the member's word, which no client has signed: all that it can do is
//                    to keep a subaccount out here.
//                    With `k` "o", which of these are gone: `m` messages (serialise_replicas, without their data), `r` revocations, as
//                    above, a page of each at most; what is not the asking node's own is passed by. Reply: "OK" or "PART", and three bt
//                    lists of places in them: messages that were deleted, revocations that were taken back, messages that were deleted and
//                    stored again, whose life is the other's.
//                    With `k` "p", whether the other has, or had, any of these accounts: "NONE", "OK" or "PART", and two empty parts.
//
//   Ownership  borrows what FetchSurroundings names.
//   Errors     a member that does not answer is asked again, for as long as it is in the network.
//   Threads    the service thread.
//   Limits     those of internal/fetch_format.hpp; one request at a time.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "control/service/internal/fetch_answers.hpp"
#include "control/service/internal/fetch_format.hpp"
#include "control/service/internal/held_points.hpp"
#include "control/service/internal/queue_holders.hpp"
#include "control/service/membership.hpp"
#include "control/service/peer_transport.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

inline constexpr std::uint64_t kFetchTimeoutMs = 20'000;
/// When all who are left have not answered.
inline constexpr std::uint64_t kFetchRetryMs = 5'000;
/// The next one, behind one who did not answer.
inline constexpr std::uint64_t kNextAfterMs = 100;

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

  /// A copy of a message, or a revocation, has come here from another node, which was stored (last) at `stored`.
  void given(const storage::Account& account, storage::Stamp stored);

  /// This member answers (QueueHolders::answers()).
  void answers(const NodeKey& ed25519);

  /// This member has queued something for this node (QueueHolders::owes()).
  void owes(const NodeKey& ed25519) { holders_.owes(ed25519); }

  /// The network that was seen last, by an earlier process too (of that keys and swarms alone); null: none.
  [[nodiscard]] std::shared_ptr<const ServiceNodes> network() const { return held_.network(); }

  /// Which of it this node was; it may have another key now.
  [[nodiscard]] const NodeKey& own_key() const noexcept { return held_.own_key(); }

  /// sn.allium_fetch of the node with this X25519 key.
  void answer(const NodeKey& x25519, std::string_view request,
              const std::function<void(PeerParts)>& reply);

  [[nodiscard]] const FetchCounters& counters() const noexcept { return counters_; }

 private:
  enum class Stage : std::uint8_t { probe, old_messages, old_revocations, revocations, messages };

  /// How far one member has been asked.
  struct Part {
    internal::Wanted wanted;
    Stage stage = Stage::old_messages;  ///< of a stranger the one before
    bool is_whole = true;               ///< all its answers say so
    std::string next{};                 ///< where its last answer ended, within the stage
  };

  /// Of this node's own old copy.
  struct OldPage {
    std::vector<OwnedMessage> messages;
    std::vector<internal::OwnedRevocation> revoked;
    std::string next;
  };

  void plan();
  void go_on();
  void go_on_after(std::uint64_t delay_ms);
  void ask();
  void ask(const Part& part, std::string request, std::function<void(const PeerParts&)> then);
  void ask_whether_it_had(const Part& part);
  void ask_for_messages(const Part& part);
  void ask_for_revocations(const Part& part);
  void ask_about_old_copy(const Part& part);
  [[nodiscard]] Result<OldPage> old_messages(const Part& part) const;
  [[nodiscard]] Result<OldPage> old_revocations(const Part& part) const;
  void erase_gone(const Part& part, const OldPage& page, const PeerParts& reply);
  void take_revocations(const Part& part, std::string_view list, const std::string& next);
  void later();
  void later(const Part& part);
  void stage_over(const Part& asked);
  void compared(const Part& asked);
  void page_over(const Part& asked, const std::string& next);
  void through(const Part& asked, const PeerParts& reply);
  [[nodiscard]] Part* find(const Part& part);
  [[nodiscard]] std::vector<Part>::iterator next_part();
  [[nodiscard]] bool is_silent(const Part& part) const;
  [[nodiscard]] std::uint64_t timeout_ms(const Part& part) const;
  [[nodiscard]] boost::json::object request_for(const Part& part) const;
  void keep_held();

  FetchSurroundings around_;
  internal::HeldPoints held_;
  internal::QueueHolders holders_;
  internal::FetchAnswers answers_;
  std::string kept_;  ///< what was said of held_ last
  std::vector<Part> open_;
  bool is_busy_ = false;
  /// Who was asked: whether he answered the last time.
  std::map<NodeKey, bool> answered_;
  std::size_t strangers_silent_ = 0;  ///< one after the other, since somebody answered
  FetchCounters counters_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
