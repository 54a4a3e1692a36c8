// SPDX-License-Identifier: Apache-2.0
#include "control/service/node_reach.hpp"

#include <algorithm>
#include <utility>

namespace allium::control {

template <typename F>
auto NodeReach::while_alive(F then) {
  return [is_alive = is_alive_, then = std::move(then)](auto&&... arguments) {
    if (*is_alive) {
      then(std::forward<decltype(arguments)>(arguments)...);
    }
  };
}

bool NodeReach::is_dead(const NodeKey& key) const {
  const auto found = nodes_.find(key);
  return found != nodes_.end() && found->second.is_dead;
}

std::uint64_t NodeReach::begun(const NodeKey& key, std::size_t byte_count,
                               std::function<void()> on_dead) {
  Node& node = nodes_[key];
  const std::uint64_t number = ++last_number_;
  node.waiting.emplace(number, Waiting{around_.now_ms(), byte_count, std::move(on_dead)});
  node.waiting_bytes += byte_count;
  watch(key);
  return number;
}

void NodeReach::ended(const NodeKey& key, std::uint64_t number) {
  const auto found = nodes_.find(key);
  if (found == nodes_.end()) {
    return;
  }
  Node& node = found->second;
  const auto waiting = node.waiting.find(number);
  if (waiting != node.waiting.end()) {
    node.waiting_bytes -= waiting->second.byte_count;
    node.waiting.erase(waiting);
  }
  forget_if_idle(key);
}

void NodeReach::heard(const NodeKey& key) {
  const auto found = nodes_.find(key);
  if (found == nodes_.end()) {
    return;
  }
  found->second.heard_ms = around_.now_ms();
  found->second.is_dead = false;
  watch(key);
  forget_if_idle(key);
}

void NodeReach::suspect(const NodeKey& key) {
  if (!nodes_[key].is_asked) {
    ask(key);
  }
}

void NodeReach::forget_if_idle(const NodeKey& key) {
  const Node& node = nodes_.at(key);
  if (node.waiting.empty() && !node.is_dead && !node.is_asked && !node.is_watched) {
    nodes_.erase(key);
  }
}

void NodeReach::watch(const NodeKey& key) {
  Node& node = nodes_.at(key);
  if (node.is_asked || node.is_watched || node.waiting.empty()) {
    return;
  }
  node.is_watched = true;
  const std::uint64_t silent_since_ms =
      std::max(node.waiting.begin()->second.begun_ms, node.heard_ms);
  const std::uint64_t silent_ms = std::min(around_.now_ms() - silent_since_ms, kReachPatienceMs);
  around_.transport.after(kReachPatienceMs - silent_ms, while_alive([this, key] { look(key); }));
}

void NodeReach::look(const NodeKey& key) {
  Node& node = nodes_.at(key);  // kept while it is watched
  node.is_watched = false;
  if (node.waiting.empty() || node.is_asked) {
    forget_if_idle(key);
    return;
  }
  const std::uint64_t silent_since_ms =
      std::max(node.waiting.begin()->second.begun_ms, node.heard_ms);
  if (around_.now_ms() - silent_since_ms >= kReachPatienceMs) {
    ask(key);
  } else {
    watch(key);
  }
}

void NodeReach::ask(const NodeKey& key) {
  Node& node = nodes_.at(key);
  const auto nodes = around_.membership.nodes();
  const ServiceNode* target = nodes->find_ed25519(key);
  if (target == nullptr) {
    // It is not in the network any more: whoever waits does so for his own time.
    node.is_asked = false;
    node.is_dead = false;
    forget_if_idle(key);
    return;
  }
  node.is_asked = true;
  const std::uint64_t timeout_ms =
      kReachPingTimeoutMs + std::min(node.waiting_bytes / kReachBytesPerMs, kReachBehindMsMax);
  around_.transport.request(
      *target, "sn.ping", {}, timeout_ms,
      while_alive([this, key, asked_ms = around_.now_ms()](const Result<PeerParts>& pong) {
        answered(key, asked_ms, pong);
      }));
}

void NodeReach::answered(const NodeKey& key, std::uint64_t asked_ms,
                         const Result<PeerParts>& pong) {
  Node& node = nodes_.at(key);  // kept while it is asked
  // A node that does not know this one for a service node refuses, and lives.
  if (pong || pong.error().code == Errc::refused) {
    node.is_asked = false;
    heard(key);
    return;
  }
  const bool was_heard = node.heard_ms > asked_ms;
  if (pong.error().code == Errc::timeout && !was_heard) {
    found_dead(key);
  }
  ask_again(key);
}

void NodeReach::found_dead(const NodeKey& key) {
  Node& node = nodes_.at(key);
  node.is_dead = true;
  node.waiting_bytes = 0;
  for (auto& [number, waiting] : std::exchange(node.waiting, {})) {
    waiting.on_dead();
  }
}

void NodeReach::ask_again(const NodeKey& key) {
  around_.transport.after(kReachIntervalMs, while_alive([this, key] {
                            Node& node = nodes_.at(key);
                            if (node.is_dead || !node.waiting.empty()) {
                              ask(key);
                            } else {
                              node.is_asked = false;
                              forget_if_idle(key);
                            }
                          }));
}

}  // namespace allium::control
