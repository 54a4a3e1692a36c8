// SPDX-License-Identifier: Apache-2.0
#pragma once

// What others hand over because it was missed here. It is stored where it belongs here, and where a client could have asked for it.
//
//   Ownership  borrows what it is made with; callbacks that wait for the store do not need it any more.
//   Errors     in the parts of the reply: a status and a text.
//   Threads    the service thread.

#include <functional>
#include <string_view>

#include "control/service/swarm_peers.hpp"

namespace allium::control::internal {

class MissedIntake {
 public:
  MissedIntake(const SwarmSurroundings& around, SwarmCounters& counters)
      : around_(around), counters_(counters) {}

  /// sn.allium_late: a bt list of records.
  void take_late(StorageRpc& rpc, std::string_view payload, std::function<void(PeerParts)> reply);

  /// sn.data: messages.
  void take_data(std::string_view payload, std::function<void(PeerParts)> reply);

 private:
  const SwarmSurroundings& around_;
  SwarmCounters& counters_;
};

}  // namespace allium::control::internal
