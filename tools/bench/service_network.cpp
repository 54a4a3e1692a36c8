// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/service_network.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include <boost/json/array.hpp>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr const char* kUpAgain =
    "start one with them: allium devnet down; allium devnet up --nodes 5";

std::optional<std::string_view> text_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

bool has_service(const json::value& item) {
  return item.is_object() && item.get_object().contains("service_key");
}

Result<RunningNode> running_node(const json::object& item, const control::ServiceNodes& known) {
  const auto key_text = text_in(item, "service_key");
  const auto key = control::parse_identity_key(key_text.value_or(""));
  const control::ServiceNode* node = key ? known.find_ed25519(*key) : nullptr;
  const json::value* pid = item.if_contains("service_pid");
  const auto name = text_in(item, "name");
  if (node == nullptr || !name || pid == nullptr || !(pid->is_int64() || pid->is_null())) {
    return fail(Errc::malformed,
                "the devnet's status names a service node that its network document does not have; "
                "restart the devnet");
  }
  return RunningNode{std::string(*name), pid->is_null() ? -1 : static_cast<pid_t>(pid->get_int64()),
                     *node};
}

Result<std::vector<RunningNode>> all_running(std::vector<RunningNode> nodes) {
  for (const RunningNode& node : nodes) {
    if (node.pid <= 0) {
      return fail(Errc::unavailable, "the service of " + node.name +
                                         " does not run; start it: allium devnet start " +
                                         node.name);
    }
  }
  return nodes;
}

}  // namespace

Result<ServiceNetwork> service_network(const json::object& status,
                                       const control::NetworkDocument& document) {
  const control::ServiceNodes known = control::service_nodes_of(document);
  const json::value* list = status.if_contains("nodes");
  if (list == nullptr || !list->is_array()) {
    return fail(Errc::malformed, "the devnet's status has no nodes; restart the devnet");
  }
  ServiceNetwork network;
  network.swarms = known.swarms();
  for (const json::value& item : list->get_array()) {
    if (!has_service(item)) {
      continue;
    }
    Result<RunningNode> node = running_node(item.get_object(), known);
    if (!node) {
      return tl::unexpected(std::move(node.error()));
    }
    network.nodes.push_back(*std::move(node));
  }
  if (network.nodes.empty()) {
    return fail(Errc::not_found, std::string("this devnet has no service nodes; ") + kUpAgain);
  }
  return network;
}

Result<std::vector<RunningNode>> swarm_around(const ServiceNetwork& network,
                                              std::string_view entry) {
  const auto& nodes = network.nodes;
  const auto found =
      entry.empty() ? nodes.begin()
                    : std::find_if(nodes.begin(), nodes.end(),
                                   [&](const RunningNode& node) { return node.name == entry; });
  if (found == nodes.end()) {
    return fail(Errc::not_found,
                "no service node is called " + std::string(entry) + "; see: allium devnet status");
  }
  if (found->node.swarm == control::kNoSwarm) {
    return fail(Errc::unavailable, found->name + " is in no swarm yet; see: allium devnet status");
  }
  std::vector<RunningNode> members = {*found};
  for (const RunningNode& node : nodes) {
    if (node.name != found->name && node.node.swarm == found->node.swarm) {
      members.push_back(node);
    }
  }
  return all_running(std::move(members));
}

Result<std::vector<RunningNode>> path_through(const ServiceNetwork& network,
                                              std::size_t hop_count) {
  const auto& nodes = network.nodes;
  if (nodes.size() < hop_count) {
    return fail(Errc::not_found, "a path of " + std::to_string(hop_count) + " nodes, and only " +
                                     std::to_string(nodes.size()) +
                                     " service nodes here: use fewer --hops, or a larger devnet");
  }
  return all_running({nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(hop_count)});
}

std::vector<storage::Account> accounts_of(const control::SwarmMap& swarms, control::SwarmId swarm,
                                          std::size_t count, const Random& random) {
  ALLIUM_CHECK(swarms.points_of(swarm));
  std::vector<storage::Account> accounts;
  accounts.reserve(count);
  while (accounts.size() < count) {
    storage::Account account;
    random(account);
    account[0] = 0x05;
    if (swarms.swarm_of(storage::point_of(account)) == swarm) {
      accounts.push_back(account);
    }
  }
  return accounts;
}

}  // namespace allium::bench
