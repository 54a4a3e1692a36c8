// SPDX-License-Identifier: Apache-2.0
#pragma once

// This node among the members of its swarm: hands commands on, remembers what a member missed until it has it, knows who is
// dead, and hands data over when swarms change (session storage RPC, "Recursive requests" and "Swarm internals").
//
//   A member   alive --a request times out--> dead --it answers a ping--> behind --it has all it missed--> alive
//
//   Commands for a member that is dead are queued on disk and answered "timeout" at once. The queue is handed over by sn.allium_late,
//   whole commands with the client's signature, so that a member can force nothing on another that a client has not signed. A
//   member that is not of our kind (its pong does not say so) gets the messages alone, by sn.data. While it is handed over, new commands
//   go to the member at once and may overtake it: their stamps tell what was asked for later.
//
//   A command goes out when it is on this node's own disk, in the queue that it has for itself, and leaves that when every
//   member has answered or has it in his queue, and this node has done it too. What it could not do, for want of room perhaps, it tries
//   again as it does with members. What a process leaves there when it dies is finished by the next: so no
//   member has what another has not, whether a client was answered or not.
//
//   Where this node can put nothing on its disk, a member who has done the command keeps it for this node and for those who are
//   away (internal/queue_elsewhere.hpp). Where nobody can, the client is told that it failed.
//
//   Ownership  borrows what SwarmSurroundings names.
//   Errors     a message that cannot be queued is counted (lost_records).
//   Threads    the service thread.
//   Limits     kHandOverBytesMax a request of hand-over; the queue is bounded by the store.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/service/membership.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/peer_transport.hpp"
#include "control/service/storage_rpc.hpp"
#include "control/service/swarm_members.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

namespace internal {
class AbsentMembers;
class BegunCommands;
class MissedIntake;
class PatientQueue;
class QueueElsewhere;
class ReplicaPush;
class ToldCommands;
}  // namespace internal

/// Whose queue in the store it is that has what this node has begun: nobody's, for the node may have another key when it goes on.
inline constexpr NodeKey kBegunQueue{};
inline constexpr std::uint64_t kProbeTimeoutMs = 2'000;
inline constexpr std::uint64_t kProbeIntervalMs = 2'000;
/// How soon a member is asked again to take what it refused.
inline constexpr std::uint64_t kRefusedRetryMs = 10'000;
inline constexpr std::uint64_t kHandOverTimeoutMs = 20'000;
/// How often this node forgets the commands that all members have had.
inline constexpr std::uint64_t kForgetIntervalMs = 20;
inline constexpr std::uint64_t kFinishRetryMs = 10'000;
/// How long those who were given messages are told of what comes late.
inline constexpr std::uint64_t kTellGivenMs = 86'400'000;
inline constexpr std::size_t kHandOverBytesMax = 1'000'000;
inline constexpr std::uint64_t kTidyQueuesMs = 60'000;
/// How long what has run out is still kept, hidden: an extension that was asked for before may come late.
inline constexpr std::uint64_t kFreedAfterMs = 600'000;
/// How long a queue has a message that has run out: where it is, it may have been extended, by a command that has not come here.
inline constexpr std::uint64_t kMootAfterMs = 3'600'000;
/// After the network has changed: how long others may still see it as it was.
inline constexpr std::uint64_t kViewsDifferMs = 600'000;
/// A member that is taken to be alive is asked.
inline constexpr std::uint64_t kWatchIntervalMs = 10'000;
inline constexpr int kWatchAttempts = 2;

struct SwarmSurroundings {
  storage::MessageStore& store;
  const Membership& membership;
  PeerTransport& transport;
  std::function<std::uint64_t()> now_ms;
  std::function<void(std::function<void()>)> post;  ///< to the service thread; any thread
};

struct SwarmCounters {
  std::uint64_t forwarded = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t queued = 0;
  std::uint64_t handed_over = 0;     ///< records of the queue
  std::uint64_t kept_by_others = 0;  ///< records that others queue, as this node could not
  std::uint64_t lost_records = 0;   ///< that could not be queued, and ranges that could not be read
  std::uint64_t moot = 0;           ///< records of messages that nobody has any more, dropped
  std::uint64_t finished_late = 0;  ///< commands that the last process had begun
  std::uint64_t done_again = 0;     ///< commands that this node could not do at first
  std::uint64_t messages_pushed = 0;
  std::uint64_t messages_taken = 0;
  std::uint64_t messages_refused = 0;  ///< pushed, and such as no client could have stored
};

/// A copy of a message that was not here has come from another node; it was stored (last) at `stored`.
using OnCopy = std::function<void(const storage::Account& account, storage::Stamp stored)>;

class SwarmPeers final : public SwarmMembers {
 public:
  explicit SwarmPeers(SwarmSurroundings surroundings);
  ~SwarmPeers() override;

  /// Reads from the store who has missed something, and goes on where the last process stopped. Call once, when
  /// membership is known.
  /// `rpc` carries out what the last process had begun, and outlives this object's use of it.
  void start(StorageRpc& rpc);

  [[nodiscard]] std::vector<NodeKey> others() const override;
  std::function<void(bool is_done)> forward(SwarmCommand command,
                                            std::function<void(MemberReply)> each,
                                            std::function<void(bool is_lost)> over) override;
  void took_alone(const SwarmCommand& command) override;

  [[nodiscard]] bool is_dead(const NodeKey& ed25519) const noexcept;

  /// It answers, and this node has something for it still.
  [[nodiscard]] bool is_behind(const NodeKey& ed25519) const noexcept;

  /// That node was given messages by this one: it is told as well of what comes late and deletes one here.
  void given(const NodeKey& ed25519);

  void on_copy(OnCopy call);
  /// A member of the swarm answers, as it does again and again.
  void on_answer(std::function<void(const NodeKey& ed25519)> call);
  /// A member keeps something for this node, which could not write it.
  void on_kept(std::function<void(const NodeKey& ed25519)> call);

  /// After Membership was updated: pushes what `before`, where this node was `own`, had elsewhere.
  void membership_changed(const ServiceNodes& before, const NodeKey& own);

  [[nodiscard]] const SwarmCounters& counters() const noexcept { return counters_; }

  // What members ask of us. All give the parts of the reply.

  /// sn.storage_cc: a client's command, with its parameters.
  void take_command(StorageRpc& rpc, const NodeKey& x25519, std::string method, std::string params,
                    std::function<void(PeerParts)> reply);

  /// sn.allium_late: a bt list of what we missed. The reply: OK, or a status, a text and a bt list of the places in it of what could not
  /// be kept; all else was.
  void take_late(StorageRpc& rpc, const NodeKey& x25519, std::string_view payload,
                 std::function<void(PeerParts)> reply);

  /// sn.allium_keep, of the node with this X25519 key (internal/queue_elsewhere.hpp).
  void keep_for_others(StorageRpc& rpc, const NodeKey& x25519, const PeerParts& parts,
                       std::function<void(PeerParts)> reply);

  /// sn.data: messages that somebody thinks are ours.
  void take_data(std::string_view payload, std::function<void(PeerParts)> reply);

 private:
  [[nodiscard]] bool is_member(const NodeKey& x25519) const;

  /// What came of a command.
  struct Outcome {
    std::optional<std::uint64_t> number;  ///< in this node's queue for itself
    bool is_with_others = false;          ///< one has it, or it is in his queue
    bool may_be_with_others = false;      ///< one was sent it, and has not answered
    bool is_done_here = false;
    bool is_kept_for_all = false;  ///< by another, also for this node
    bool wants_keeper = false;     ///< one who has done it, for the first could not keep it
    bool is_asking = false;        ///< one of them
    std::size_t asked = 0;         ///< of `holders`
    std::function<void()> when_asked;
    std::vector<NodeKey> holders;  ///< those who say that they have done it
    std::vector<NodeKey> missed;   ///< those who have not, and for whom it could not be queued
  };

  /// A command that has been begun, and whom it is for.
  struct Round {
    std::shared_ptr<const ServiceNodes> nodes;
    std::vector<NodeKey> keys;
    std::shared_ptr<const SwarmCommand> command;
    std::function<void(MemberReply)> each;
    std::shared_ptr<Outcome> outcome;
    std::function<void()> one_less;  ///< of the members and this node
  };

  /// `is_missed`: by this member, and its queue has not got it either.
  using Told = std::function<void(MemberReply reply, bool is_missed)>;

  void hand_on(const std::shared_ptr<const Round>& round);
  void all_answered(const SwarmCommand& command, const std::shared_ptr<Outcome>& shared,
                    const std::function<void(bool is_lost)>& over);
  void send_or_queue(const Round& round, const NodeKey& key, Told told);
  void send(const ServiceNode& node, const std::shared_ptr<const SwarmCommand>& command, Told told);
  void send_to_keep(const std::shared_ptr<const Round>& round, const NodeKey& key, Told told);
  void ask_holder_to_keep(const std::shared_ptr<const Round>& round);
  void answered(const SwarmCommand& command, const NodeKey& key, Result<PeerParts> parts,
                const Told& told);
  void queue_missed(const SwarmCommand& command, MemberReply reply, Told told);

  SwarmSurroundings around_;
  SwarmCounters counters_;
  std::unique_ptr<internal::AbsentMembers> absent_;
  std::unique_ptr<internal::PatientQueue> patient_;
  std::unique_ptr<internal::MissedIntake> intake_;
  std::unique_ptr<internal::BegunCommands> begun_;
  std::unique_ptr<internal::QueueElsewhere> elsewhere_;
  std::unique_ptr<internal::ReplicaPush> push_;
  std::unique_ptr<internal::ToldCommands> told_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

/// The reply to sn.ping, by which members of our kind know each other.
[[nodiscard]] PeerParts pong();

/// The reply to sn.storage_cc and storage.*: the body alone, or status and text.
[[nodiscard]] PeerParts peer_reply(const Answer& answer, Format format);

}  // namespace allium::control
