// SPDX-License-Identifier: Apache-2.0
#include "control/network/oxend_shape.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <sodium.h>

#include "control/network/internal/canonical_text.hpp"
#include "control/network/network_view.hpp"
#include "crypto_accel/base/bytes.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

/// A name for this state of the list, where the chain has its block's hash.
NodeKey list_hash(const ServiceNodes& nodes, std::uint64_t height) {
  crypto_generichash_state state;
  NodeKey hash;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  const auto add = [&state](const auto& bytes) {
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(bytes.data()),
                              bytes.size());
  };
  add(std::to_string(height));
  for (const ServiceNode& node : nodes.all()) {
    add(node.ed25519);
    add(node.ip + ' ' + std::to_string(node.https_port) + ' ' + std::to_string(node.omq_port) +
        ' ' + std::to_string(node.swarm) + '\n');
  }
  crypto_generichash_final(&state, hash.data(), hash.size());
  return hash;
}

/// Which fields a caller wants; none: all.
std::set<std::string_view> wanted_fields(const json::object& params) {
  std::set<std::string_view> wanted;
  const json::value* fields = params.if_contains("fields");
  if (fields == nullptr) {
    return wanted;
  }
  if (const auto* object = fields->if_object()) {
    for (const auto& [name, is_wanted] : *object) {
      if (is_wanted.is_bool() && is_wanted.get_bool()) {
        wanted.insert(name);
      }
    }
  } else if (const auto* list = fields->if_array()) {
    for (const json::value& name : *list) {
      if (const auto* text = name.if_string()) {
        wanted.insert(*text);
      }
    }
  }
  return wanted.count("all") > 0 ? std::set<std::string_view>() : wanted;
}

json::object node_state(const ServiceNode& node, const ChainState& chain) {
  json::object state;
  state["service_node_pubkey"] = internal::hex_text(node.legacy);
  state["pubkey_ed25519"] = internal::hex_text(node.ed25519);
  state["pubkey_x25519"] = internal::hex_text(node.x25519);
  state["public_ip"] = node.ip;
  state["storage_port"] = node.https_port;
  state["storage_lmq_port"] = node.omq_port;
  state["storage_server_version"] =
      json::array(chain.storage_version.begin(), chain.storage_version.end());
  state["swarm_id"] = node.swarm;
  state["swarm"] = swarm_id_text(node.swarm);
  state["active"] = node.swarm != kNoSwarm;
  state["funded"] = true;
  return state;
}

bool is_set(const json::object& params, std::string_view name) {
  const json::value* value = params.if_contains(name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

/// By legacy key. None: all.
std::optional<std::set<NodeKey>> wanted_nodes(const json::object& params) {
  const json::value* const value = params.if_contains("service_node_pubkeys");
  const json::array* const list = value == nullptr ? nullptr : value->if_array();
  if (list == nullptr || list->empty()) {
    return std::nullopt;
  }
  std::set<NodeKey> wanted;
  for (const json::value& text : *list) {
    const auto* const hex = text.if_string();
    if (const auto key = parse_identity_key(hex != nullptr ? std::string_view(*hex) : "")) {
      wanted.insert(*key);
    }
  }
  return wanted;
}

std::vector<const ServiceNode*> nodes_for(const ServiceNodes& nodes, const json::object& params) {
  const std::optional<std::set<NodeKey>> wanted = wanted_nodes(params);
  const bool active_only = is_set(params, "active_only");
  std::vector<const ServiceNode*> chosen;
  for (const ServiceNode& node : nodes.all()) {
    if ((!active_only || node.swarm != kNoSwarm) && (!wanted || wanted->contains(node.legacy))) {
      chosen.push_back(&node);
    }
  }
  return chosen;
}

/// Leaves so many of them, by chance and in an order by chance; negative: all.
void choose(std::vector<const ServiceNode*>& nodes, std::int64_t limit, const Random& random) {
  const std::size_t count = limit < 0 || static_cast<std::uint64_t>(limit) > nodes.size()
                                ? nodes.size()
                                : static_cast<std::size_t>(limit);
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::uint8_t, 8> drawn;
    random(drawn);
    // 64 bits for some thousands of nodes: nobody sees that the first ones are a little likelier.
    std::swap(nodes[i], nodes[i + load_be(drawn.data(), drawn.size()) % (nodes.size() - i)]);
  }
  nodes.resize(count);
}

}  // namespace

json::object service_nodes_result(const ServiceNodes& nodes, const ChainState& chain,
                                  const json::object& params, const Random& random) {
  const std::string hash = internal::hex_text(list_hash(nodes, chain.height));
  json::object result;
  result["height"] = chain.height;
  result["block_hash"] = hash;
  result["hardfork"] = chain.hardfork[0];
  result["snode_revision"] = chain.hardfork[1];
  result["status"] = "OK";
  const json::value* polled = params.if_contains("poll_block_hash");
  if (polled != nullptr && polled->is_string() && polled->get_string() == hash) {
    result["unchanged"] = true;
    return result;
  }
  std::vector<const ServiceNode*> chosen = nodes_for(nodes, params);
  if (const json::value* const limit = params.if_contains("limit");
      limit != nullptr && limit->is_int64() && limit->get_int64() != 0) {
    choose(chosen, limit->get_int64(), random);
  }
  const std::set<std::string_view> wanted = wanted_fields(params);
  json::array states;
  for (const ServiceNode* const node : chosen) {
    json::object state = node_state(*node, chain);
    if (!wanted.empty()) {
      json::object some;
      for (auto& [name, value] : state) {
        if (wanted.count(name) > 0) {
          some[name] = std::move(value);
        }
      }
      state = std::move(some);
    }
    states.emplace_back(std::move(state));
  }
  result["service_node_states"] = std::move(states);
  return result;
}

std::string json_rpc_answer(std::string_view request, const ServiceNodes& nodes,
                            const ChainState& chain, const Random& random) {
  json::object answer = {{"jsonrpc", "2.0"}, {"id", nullptr}};
  const auto refuse = [&answer](int code, std::string_view message) {
    answer["error"] = json::object{{"code", code}, {"message", message}};
    return json::serialize(answer);
  };
  json::error_code error;
  const json::value parsed = json::parse(request, error);
  if (error) {
    return refuse(-32700, "Parse error");
  }
  const json::object* const fields = parsed.if_object();
  const json::value* const method = fields == nullptr ? nullptr : fields->if_contains("method");
  if (method == nullptr || !method->is_string()) {
    return refuse(-32600, "Invalid Request");
  }
  if (const json::value* const id = fields->if_contains("id");
      id != nullptr && !id->is_structured()) {
    answer["id"] = *id;
  }
  if (method->get_string() != "get_service_nodes" &&
      method->get_string() != "get_n_service_nodes") {
    return refuse(-32601, "Method not found");
  }
  const json::value* const params = fields->if_contains("params");
  json::object result = service_nodes_result(
      nodes, chain,
      params != nullptr && params->is_object() ? params->get_object() : json::object(), random);
  result["status"] = "OK";
  answer["result"] = std::move(result);
  return json::serialize(answer);
}

}  // namespace allium::control
