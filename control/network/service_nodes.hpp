// SPDX-License-Identifier: Apache-2.0
#pragma once

// The service nodes of the network as the storage lane sees them: keys, addresses, ports, swarms. An immutable
// snapshot, made from what the registry says.
//
//   Ownership  values; share it by shared_ptr<const ServiceNodes>.
//   Threads    const after it was made; reentrant.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/network/network_document.hpp"
#include "control/network/swarm_map.hpp"

namespace allium::control {

using NodeKey = IdentityKey;

struct ServiceNode {
  NodeKey legacy{};   ///< what the chain knows it by; the same as ed25519 in new registrations
  NodeKey ed25519{};  ///< signs receipts; names the node in onion requests
  NodeKey x25519{};   ///< onion requests and CURVE
  std::string ip;     ///< as text, IPv4 or IPv6
  std::uint16_t https_port = 0;
  std::uint16_t omq_port = 0;
  SwarmId swarm = kNoSwarm;

  bool operator==(const ServiceNode&) const = default;
};

class ServiceNodes {
 public:
  ServiceNodes() = default;

  /// Of nodes with one ed25519 key the first counts.
  explicit ServiceNodes(std::vector<ServiceNode> nodes);

  /// By ed25519 key, rising.
  [[nodiscard]] std::span<const ServiceNode> all() const noexcept { return nodes_; }

  /// Null: not known.
  [[nodiscard]] const ServiceNode* find_ed25519(const NodeKey& key) const noexcept;
  [[nodiscard]] const ServiceNode* find_x25519(const NodeKey& key) const noexcept;

  [[nodiscard]] const SwarmMap& swarms() const noexcept { return swarms_; }

  /// Empty: no such swarm.
  [[nodiscard]] std::vector<const ServiceNode*> members(SwarmId swarm) const;

 private:
  std::vector<ServiceNode> nodes_;
  std::map<NodeKey, std::size_t> by_x25519_;
  SwarmMap swarms_;
};

/// Those relays of a document that are service nodes, with the addresses of their first endpoints.
[[nodiscard]] ServiceNodes service_nodes_of(const NetworkDocument& document);

/// base32z(legacy) + ".snode", as clients show a node.
[[nodiscard]] std::string snode_address(const NodeKey& legacy);

}  // namespace allium::control
