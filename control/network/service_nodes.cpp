// SPDX-License-Identifier: Apache-2.0
#include "control/network/service_nodes.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "dataplane/onion/endpoint_text.hpp"

namespace allium::control {
namespace {

std::vector<SwarmId> swarm_ids(const std::vector<ServiceNode>& nodes) {
  std::vector<SwarmId> ids;
  ids.reserve(nodes.size());
  for (const ServiceNode& node : nodes) {
    ids.push_back(node.swarm);
  }
  return ids;
}

}  // namespace

ServiceNodes::ServiceNodes(std::vector<ServiceNode> nodes) : nodes_(std::move(nodes)) {
  const auto by_key = [](const ServiceNode& left, const ServiceNode& right) {
    return left.ed25519 < right.ed25519;
  };
  std::stable_sort(nodes_.begin(), nodes_.end(), by_key);
  const auto same_key = [](const ServiceNode& left, const ServiceNode& right) {
    return left.ed25519 == right.ed25519;
  };
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end(), same_key), nodes_.end());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    by_x25519_.emplace(nodes_[i].x25519, i);
  }
  swarms_ = SwarmMap(swarm_ids(nodes_));
}

const ServiceNode* ServiceNodes::find_ed25519(const NodeKey& key) const noexcept {
  const auto found =
      std::lower_bound(nodes_.begin(), nodes_.end(), key,
                       [](const ServiceNode& node, const NodeKey& k) { return node.ed25519 < k; });
  return found != nodes_.end() && found->ed25519 == key ? &*found : nullptr;
}

const ServiceNode* ServiceNodes::find_x25519(const NodeKey& key) const noexcept {
  const auto found = by_x25519_.find(key);
  return found == by_x25519_.end() ? nullptr : &nodes_[found->second];
}

std::vector<const ServiceNode*> ServiceNodes::members(SwarmId swarm) const {
  std::vector<const ServiceNode*> found;
  if (swarm == kNoSwarm) {
    return found;
  }
  for (const ServiceNode& node : nodes_) {
    if (node.swarm == swarm) {
      found.push_back(&node);
    }
  }
  return found;
}

ServiceNodes service_nodes_of(const NetworkDocument& document) {
  std::vector<ServiceNode> nodes;
  for (const RelayEntry& relay : document.relays) {
    std::optional<NodeKey> x25519 = x25519_of(relay.identity);
    if (!relay.service || !x25519) {
      continue;  // a key of low order has no other form, and verifies nothing either
    }
    ServiceNode node;
    node.legacy = relay.identity;
    node.ed25519 = relay.identity;
    node.x25519 = *x25519;
    node.ip = onion::address_text(relay.endpoints.front().address);
    node.https_port = relay.service->https_port;
    node.omq_port = relay.service->omq_port;
    node.swarm = relay.service->swarm;
    nodes.push_back(std::move(node));
  }
  return ServiceNodes(std::move(nodes));
}

std::string snode_address(const NodeKey& legacy) {
  // z-base-32 (Zooko): five bits a character from the most significant on; the last has one bit of the key.
  constexpr std::string_view kAlphabet = "ybndrfg8ejkmcpqxot1uwisza345h769";
  std::string text;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const std::uint8_t byte : legacy) {
    bits = (bits << 8 | byte) & 0xfffU;
    for (held += 8; held >= 5; held -= 5) {
      text += kAlphabet[bits >> (held - 5) & 31U];
    }
  }
  if (held > 0) {
    text += kAlphabet[bits << (5 - held) & 31U];
  }
  return text + ".snode";
}

}  // namespace allium::control
