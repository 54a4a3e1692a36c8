// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/told_commands.hpp"

#include <algorithm>
#include <optional>

#include "control/service/missed_records.hpp"

namespace allium::control::internal {

void ToldCommands::told(const SwarmCommand& command, const std::vector<NodeKey>& keys) {
  if (command.method == "store") {
    return;
  }
  told_.push_back({around_.now_ms(), command, keys});
  bytes_ += told_.back().bytes();
  drop_old();
}

void ToldCommands::drop_old() {
  while (!told_.empty() &&
         (bytes_ > kToldBytesMax || told_.front().at_ms + kToldForMs < around_.now_ms())) {
    bytes_ -= told_.front().bytes();
    told_.pop_front();
  }
}

void ToldCommands::membership_changed() {
  drop_old();
  for (Told& one : told_) {
    const std::optional<storage::Account> account = account_of({one.command, {}});
    const auto swarm = account ? around_.membership.swarm_of(*account) : std::nullopt;
    if (!swarm) {
      continue;
    }
    for (const ServiceNode* node : around_.membership.nodes()->members(*swarm)) {
      const NodeKey& key = node->ed25519;
      const bool is_told = std::find(one.keys.begin(), one.keys.end(), key) != one.keys.end();
      if (!is_told && key != around_.membership.own()) {
        one.keys.push_back(key);
        bytes_ += sizeof(NodeKey);
        queue_.add(key, command_record(one.command));
      }
    }
  }
}

}  // namespace allium::control::internal
