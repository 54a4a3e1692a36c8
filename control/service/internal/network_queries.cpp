// SPDX-License-Identifier: Apache-2.0

// get_swarm, info, oxend_request and active_nodes_bin: what any node answers, whose account it may be.

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include <boost/json/parse.hpp>

#include "control/network/oxend_shape.hpp"
#include "control/service/internal/rpc_call.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

json::object snode_object(const ServiceNode& node) {
  json::object object;
  object["address"] = snode_address(node.legacy);
  object["pubkey_legacy"] = to_hex(node.legacy);
  object["pubkey_x25519"] = to_hex(node.x25519);
  object["pubkey_ed25519"] = to_hex(node.ed25519);
  object["port"] = std::to_string(node.https_port);
  object["port_https"] = node.https_port;
  object["port_omq"] = node.omq_port;
  object["port_quic"] = node.omq_port;
  object["ip"] = node.ip;
  return object;
}

/// The `params` of an oxend_request: an object in JSON, a text of JSON in bt. nullopt: it is neither.
std::optional<json::object> oxend_params(const RpcCall& call) {
  const json::value* given = call.params->if_contains("params");
  if (given == nullptr || given->is_null()) {
    return json::object();
  }
  if (call.format == Format::json) {
    const auto* object = given->if_object();
    return object == nullptr ? json::object() : *object;
  }
  const auto* text = given->if_string();
  json::error_code error;
  const json::value parsed =
      text == nullptr ? json::value() : json::parse(std::string_view(*text), error);
  if (text == nullptr || error) {
    return std::nullopt;
  }
  return parsed.is_object() ? parsed.get_object() : json::object();
}

}  // namespace

json::object swarm_body(const Membership& membership, SwarmId swarm) {
  json::array snodes;
  for (const ServiceNode* node : membership.nodes()->members(swarm)) {
    snodes.emplace_back(snode_object(*node));
  }
  json::object body;
  body["snodes"] = std::move(snodes);
  body["swarm"] = swarm_id_text(swarm);
  return body;
}

namespace {

void run_get_swarm(const RpcCall& call, const Account& account) {
  const std::optional<SwarmId> swarm = call.around.membership.swarm_of(account);
  json::object body = swarm_body(call.around.membership, swarm.value_or(kNoSwarm));
  call.add_clock(body);
  call.reply({Status::ok, std::move(body)});
}

void run_info(const RpcCall& call) {
  json::object body;
  body["version"] = json::array(kStorageVersion.begin(), kStorageVersion.end());
  body["timestamp"] = call.now_ms;
  call.add_clock(body);
  call.reply({Status::ok, std::move(body)});
}

/// key:256 | swarm:64 | IPv4 address:32 | HTTPS port:16 | OMQ and QUIC port:16 | version:24; big-endian.
constexpr std::size_t kNodeBytes = 32 + 8 + 4 + 2 + 2 + 3;

/// Empty: a node that is in no swarm, or has no IPv4 address; the format has no room for another.
std::string packed(const ServiceNode& node) {
  std::array<std::uint8_t, kNodeBytes> bytes;
  if (node.swarm == kNoSwarm || inet_pton(AF_INET, node.ip.c_str(), bytes.data() + 40) != 1) {
    return {};
  }
  std::copy(node.ed25519.begin(), node.ed25519.end(), bytes.begin());
  store_be(bytes.data() + 32, node.swarm, 8);
  store_be(bytes.data() + 44, node.https_port, 2);
  store_be(bytes.data() + 46, node.omq_port, 2);
  // Nodes do not tell their versions: as in the other list, each is said to have ours.
  std::copy(kStorageVersion.begin(), kStorageVersion.end(), bytes.begin() + 48);
  return std::string(text_of(bytes));
}

void run_active_nodes(const RpcCall& call) {
  std::string list;
  for (const ServiceNode& node : call.around.membership.nodes()->all()) {
    list += packed(node);
  }
  call.reply({Status::ok, json::value(list), true});
}

void list_nodes(const RpcCall& call, const json::object& wanted) {
  const ChainState chain = {call.around.membership.height(), kHardfork, kStorageVersion};
  json::object body;
  body["result"] =
      service_nodes_result(*call.around.membership.nodes(), chain, wanted, call.around.random);
  call.add_clock(body);
  call.reply({Status::ok, std::move(body)});
}

}  // namespace

Run get_swarm(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(fields.account(true), run_get_swarm);
}

Run info(const RpcCall& /*call*/, RpcFields& /*fields*/) {
  return run_info;
}

Run active_nodes(const RpcCall& /*call*/, RpcFields& /*fields*/) {
  return run_active_nodes;
}

Run oxend_request(const RpcCall& call, RpcFields& fields) {
  const std::string endpoint(fields.required("endpoint", fields.text("endpoint")));
  if (!fields.problem() && endpoint != "get_service_nodes" && endpoint != "ons_resolve") {
    fields.refuse("Invalid oxend endpoint '" + std::string(beginning_of(endpoint, 64)) + "'");
  }
  std::optional<json::object> params = oxend_params(call);
  if (!params) {
    fields.refuse("oxend_request params field does not contain valid json");
  }
  if (endpoint == "ons_resolve") {
    return [](const RpcCall& asked) {
      asked.refuse(Status::bad_request, "this network has no names to resolve");
    };
  }
  return run_with(std::move(params).value_or(json::object()), list_nodes);
}

}  // namespace allium::control::internal
