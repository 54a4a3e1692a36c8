// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this node can queue for nobody, itself among them, since its disk is full or cannot be written, a member of the swarm queues
// instead: one who has done the command. He hands it over as he does with all that others have missed, also when this node has been
// started again meanwhile.
//
//   sn.allium_keep   request: method and parameters of the command, as sn.storage_cc has them, and a bt list of the keys (Ed25519) of
//                    those who miss it. Reply: as sn.storage_cc's, and it is in the queue of each of them; or a status and a text.
//
//   He carries it out before, as any command (which changes nothing where he has done it): so he queues for others only what holds, and
//   what he has himself. No member can fill his queues with what no client has asked for.
//
//   Ownership  borrows what it is made with.
//   Errors     told to whoever asks.
//   Threads    the service thread.
//   Limits     one member is asked at a time, kSwarmTimeoutMs each.

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "control/service/internal/absent_members.hpp"
#include "control/service/internal/missed_intake.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

class QueueElsewhere {
 public:
  QueueElsewhere(const SwarmSurroundings& around, AbsentMembers& absent, MissedIntake& intake,
                 SwarmCounters& counters)
      : around_(around), absent_(absent), intake_(intake), counters_(counters) {}

  /// The request.
  [[nodiscard]] static PeerParts request(const SwarmCommand& command,
                                         const std::vector<NodeKey>& missed);

  /// Asks one of `holders` after the other to queue the command for all others of `missed`. `done`: one does.
  void ask(const SwarmCommand& command, const std::vector<NodeKey>& missed,
           std::vector<NodeKey> holders, std::function<void(bool is_kept)> done);

  /// Whom to tell of one who keeps something for this node.
  void on_kept(std::function<void(const NodeKey& key)> call) { on_kept_ = std::move(call); }

  /// This one keeps `count` records; for this node, too (`is_for_us`).
  void kept(const NodeKey& key, std::size_t count, bool is_for_us);

  /// What another asks, who has this X25519 key.
  void take(StorageRpc& rpc, const NodeKey& x25519, const PeerParts& parts,
            std::function<void(PeerParts)> reply);

 private:
  struct Asking {
    SwarmCommand command;
    std::vector<NodeKey> missed;
    std::vector<NodeKey> holders;
    std::size_t next = 0;  ///< of them
    std::function<void(bool)> done;
  };

  void ask_next(const std::shared_ptr<Asking>& asking);
  /// Replies with `answer` when it is queued.
  void queue(const SwarmCommand& command, const std::vector<NodeKey>& keys, const PeerParts& answer,
             std::function<void(PeerParts)> reply);

  const SwarmSurroundings& around_;
  AbsentMembers& absent_;
  MissedIntake& intake_;
  SwarmCounters& counters_;
  std::function<void(const NodeKey& key)> on_kept_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
