// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/told_commands.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "control/service/internal/callbacks.hpp"
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
  std::map<NodeKey, std::vector<std::string>> records;
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
        records[key].push_back(command_record(one.command));
      }
    }
  }
  for (auto& [key, all] : records) {
    batches_.push_back({key, std::move(all)});
  }
  queue_next();
}

// One after the other, so that the store's queue has room for clients; what it does not take is tried again.
void ToldCommands::queue_next() {
  if (is_queueing_ || batches_.empty()) {
    return;
  }
  is_queueing_ = true;
  Batch& batch = batches_.front();
  std::vector<std::string> records;
  for (std::size_t bytes = 0;
       batch.done + records.size() < batch.records.size() && bytes < kToldBatchBytes;) {
    records.push_back(batch.records[batch.done + records.size()]);
    bytes += records.back().size();
  }
  const std::size_t count = records.size();
  const NodeKey key = batch.key;
  absent_.queue(key, std::move(records), while_alive(is_alive_, [this, key, count](bool is_queued) {
                  if (!is_queued) {
                    around_.transport.after(kToldRetryMs, while_alive(is_alive_, [this] {
                                              is_queueing_ = false;
                                              queue_next();
                                            }));
                    return;
                  }
                  is_queueing_ = false;
                  absent_.set_behind(key);
                  Batch& done = batches_.front();
                  done.done += count;
                  if (done.done == done.records.size()) {
                    batches_.pop_front();
                  }
                  queue_next();
                }));
}

}  // namespace allium::control::internal
