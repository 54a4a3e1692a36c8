// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this node knows of the network it belongs to, at this moment.
//
//   Ownership  shares the snapshot with whoever is still using an older one.
//   Threads    the service thread.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "control/network/service_nodes.hpp"
#include "storage/account.hpp"

namespace allium::control {

class Membership {
 public:
  explicit Membership(const NodeKey& own_ed25519)
      : own_(own_ed25519), nodes_(std::make_shared<const ServiceNodes>()) {}

  void update(std::shared_ptr<const ServiceNodes> nodes, std::uint64_t height) {
    nodes_ = std::move(nodes);
    height_ = height;
  }

  [[nodiscard]] const NodeKey& own() const noexcept { return own_; }

  [[nodiscard]] std::shared_ptr<const ServiceNodes> nodes() const noexcept { return nodes_; }

  /// Of the registry: a block number, or the serial of the network document.
  [[nodiscard]] std::uint64_t height() const noexcept { return height_; }

  /// The registry has told of nodes. Before, no question can be answered.
  [[nodiscard]] bool is_ready() const noexcept { return !nodes_->all().empty(); }

  /// kNoSwarm: this node is in none.
  [[nodiscard]] SwarmId own_swarm() const noexcept {
    const ServiceNode* node = nodes_->find_ed25519(own_);
    return node == nullptr ? kNoSwarm : node->swarm;
  }

  /// Null: no node of the network. Valid until update().
  [[nodiscard]] const ServiceNode* find(const NodeKey& ed25519) const noexcept {
    return nodes_->find_ed25519(ed25519);
  }

  /// Of this node's swarm.
  [[nodiscard]] std::vector<NodeKey> other_members() const {
    std::vector<NodeKey> keys;
    for (const ServiceNode* node : nodes_->members(own_swarm())) {
      if (node->ed25519 != own_) {
        keys.push_back(node->ed25519);
      }
    }
    return keys;
  }

  [[nodiscard]] std::optional<SwarmId> swarm_of(const storage::Account& account) const noexcept {
    return nodes_->swarms().swarm_of(storage::point_of(account));
  }

  [[nodiscard]] bool is_ours(const storage::Account& account) const noexcept {
    const std::optional<SwarmId> swarm = swarm_of(account);
    return swarm && *swarm == own_swarm();
  }

 private:
  NodeKey own_;
  std::shared_ptr<const ServiceNodes> nodes_;
  std::uint64_t height_ = 0;
};

}  // namespace allium::control
