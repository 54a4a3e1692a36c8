// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/queue_holders.hpp"

#include <algorithm>
#include <iterator>

namespace allium::control::internal {
namespace {

std::set<NodeKey> others(const ServiceNodes& network, const NodeKey& own) {
  std::set<NodeKey> keys;
  if (const ServiceNode* node = network.find_ed25519(own)) {
    for (const ServiceNode* member : network.members(node->swarm)) {
      keys.insert(member->ed25519);
    }
  }
  keys.erase(own);
  return keys;
}

}  // namespace

void QueueHolders::was_away(const ServiceNodes& network, const NodeKey& own) {
  swarm_ = others(network, own);
  was_away();
}

void QueueHolders::was_away() {
  holders_.insert(swarm_.begin(), swarm_.end());
  answered_ms_.clear();
  answer_ms_ = 0;
}

bool QueueHolders::is_cut_off(std::uint64_t now_ms) const {
  return answer_ms_ != 0 && answer_ms_ + kCutOffMs < now_ms;
}

bool QueueHolders::update(const ServiceNodes& now, const NodeKey& own, std::uint64_t now_ms) {
  if (is_cut_off(now_ms)) {
    was_away();
  }
  swarm_ = others(now, own);
  const auto has_left = [&now](const NodeKey& key) { return now.find_ed25519(key) == nullptr; };
  const bool is_lost = std::any_of(holders_.begin(), holders_.end(), [&](const NodeKey& key) {
    return has_left(key) && may_owe(key, now_ms);
  });
  std::erase_if(holders_, has_left);
  return is_lost;
}

void QueueHolders::answers(const NodeKey& key, bool can_take, std::uint64_t now_ms) {
  if (!can_take || is_cut_off(now_ms)) {
    was_away();
  }
  answer_ms_ = now_ms;
  if (can_take) {
    answered_ms_.try_emplace(key, now_ms);
  }
}

void QueueHolders::owes(const NodeKey& key) {
  holders_.insert(key);
  answered_ms_.erase(key);
}

bool QueueHolders::lost_its_store(const NodeKey& key, std::uint64_t now_ms) {
  const bool is_lost = may_owe(key, now_ms);
  holders_.erase(key);
  return is_lost;
}

std::vector<NodeKey> QueueHolders::may_owe(std::uint64_t now_ms) const {
  std::vector<NodeKey> keys;
  std::copy_if(holders_.begin(), holders_.end(), std::back_inserter(keys),
               [&](const NodeKey& key) { return may_owe(key, now_ms); });
  return keys;
}

bool QueueHolders::may_owe(const NodeKey& key, std::uint64_t now_ms) const {
  const auto answered = answered_ms_.find(key);
  return holders_.contains(key) &&
         (answered == answered_ms_.end() || now_ms < answered->second + kHandedOverMs);
}

}  // namespace allium::control::internal
