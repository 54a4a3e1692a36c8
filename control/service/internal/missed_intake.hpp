// SPDX-License-Identifier: Apache-2.0
#pragma once

// What others hand over because it was missed here. It is stored where it belongs here, and where a client could have asked for it.
//
//   Ownership  borrows what it is made with.
//   Errors     in the parts of the reply: a status and a text.
//   Threads    the service thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "control/service/internal/patient_queue.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

class MissedIntake {
 public:
  MissedIntake(const SwarmSurroundings& around, PatientQueue& queue, SwarmCounters& counters)
      : around_(around), queue_(queue), counters_(counters) {}

  /// This node has given messages: see SwarmPeers::given().
  void given(const NodeKey& key);

  /// The network has changed, and others may not know it yet: they send commands to those who were members.
  void views_differ() { views_differ_until_ms_ = around_.now_ms() + kViewsDifferMs; }

  enum class From : std::uint8_t { stranger, member, this_node };

  /// sn.storage_cc: a client's command.
  void take_command(StorageRpc& rpc, From from, std::string method, std::string params,
                    std::function<void(PeerParts)> reply);

  /// sn.allium_late: a bt list of records. One for an account of another swarm is refused, for this node may be the one that does not know
  /// yet that it is its own; where it is this node's own record there is nothing left to do.
  void take_late(StorageRpc& rpc, From from, std::string_view payload,
                 std::function<void(PeerParts)> reply);

  /// Whom to tell of a copy that was not here.
  void on_copy(OnCopy call) { on_copy_ = std::move(call); }

  /// sn.data: messages.
  void take_data(std::string_view payload, std::function<void(PeerParts)> reply);

 private:
  void pass_on(const SwarmCommand& command);

  const SwarmSurroundings& around_;
  PatientQueue& queue_;
  SwarmCounters& counters_;
  OnCopy on_copy_;
  std::map<NodeKey, std::uint64_t> given_ms_;  ///< and when
  std::uint64_t views_differ_until_ms_ = 0;
  std::set<storage::Stamp> passed_on_;
  std::deque<storage::Stamp> passed_on_in_order_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control::internal
