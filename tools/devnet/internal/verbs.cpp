// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/internal/verbs.hpp"

#include <unistd.h>

#include <string>
#include <utility>

#include <boost/json.hpp>

#include "control/network/network_view.hpp"
#include "dataplane/onion/endpoint_text.hpp"
#include "tools/devnet/internal/wall_clock.hpp"
#include "tools/devnet/registry_process.hpp"

namespace allium::devnet {
namespace {

namespace json = boost::json;

/// Empty where the request has no such text.
std::string text_of(const json::object& request, const char* name) {
  const json::value* value = request.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

json::object error_answer(const Error& error) {
  return {{"error", error.text}, {"code", static_cast<int>(error.code)}};
}

json::object no_such_node() {
  return error_answer(
      {Errc::not_found, "no such node, or more than one; see: allium devnet status"});
}

/// Null where there is no process: -1 would be everybody to who passes it to kill().
json::value pid_json(pid_t pid) {
  return pid > 0 ? json::value(pid) : json::value();
}

json::object node_status(Node& node) {
  json::array addresses;
  for (const onion::Endpoint& endpoint : node.endpoints()) {
    addresses.emplace_back(onion::endpoint_text(endpoint));
  }
  return {{"name", node.name()},
          {"id", hex_id(node)},
          {"state", node_state_name(node.state())},
          {"pid", pid_json(node.pid())},
          {"starts", node.starts()},
          {"endpoints", std::move(addresses)},
          {"service_pid", pid_json(node.service().pid())},
          {"service_key", control::identity_key_text(node.identity())},
          {"https_port", kHttpsPort},
          {"omq_port", kOmqPort}};
}

json::object kill_node(Node& node) {
  if (node.pid() <= 0) {
    return error_answer({Errc::refused, node.name() + " is not running"});
  }
  const pid_t pid = node.pid();
  node.kill_now();
  return {{"schema", "allium.devnet.kill/1"}, {"node", node.name()}, {"pid", pid}};
}

}  // namespace

Verbs::Verbs(NodeSet& nodes, NetworkPublisher& network, RuntimeDirectory directory,
             std::uint64_t started_ms)
    : nodes_(nodes), network_(network), directory_(std::move(directory)), started_ms_(started_ms) {}

json::object Verbs::answer(const json::object& request) {
  const std::string verb = text_of(request, "verb");
  if (verb == "status") {
    return status();
  }
  if (verb == "counters") {
    return counters(request);
  }
  if (verb == "down") {
    is_down_asked_ = true;
    return {{"schema", "allium.devnet.down/1"}, {"supervisor_pid", getpid()}};
  }
  Node* const node = nodes_.find(text_of(request, "node"));
  return node != nullptr ? answer_about(*node, verb) : no_such_node();
}

json::object Verbs::answer_about(Node& node, const std::string& verb) {
  if (verb == "kill") {
    return kill_node(node);
  }
  if (verb == "start") {
    return start(node);
  }
  if (verb == "namespace") {
    return {{"descriptor", node.network_namespace()}};
  }
  return error_answer({Errc::malformed, "unknown request; are both programs of one version?"});
}

json::object Verbs::status() const {
  json::array list;
  for (const auto& node : nodes_) {
    list.push_back(node_status(*node));
  }
  return {{"schema", "allium.devnet.status/1"},
          {"running", true},
          {"supervisor_pid", getpid()},
          {"uptime_s", (wall_clock_ms() - started_ms_) / 1000},
          {"network_file", directory_.network()},
          {"authority", control::identity_key_text(network_.authority())},
          {"registry", std::string("http://") + kRegistryAddress + ":" +
                           std::to_string(kRegistryPort) + "/json_rpc"},
          {"nodes_up", nodes_.count_up()},
          {"nodes_total", nodes_.size()},
          {"nodes", std::move(list)}};
}

json::object Verbs::counters(const json::object& request) const {
  const std::string wanted = text_of(request, "node");
  const Node* const one = wanted == "all" ? nullptr : nodes_.find(wanted);
  if (wanted != "all" && one == nullptr) {
    return no_such_node();
  }
  json::array list;
  json::array silent;
  for (const auto& node : nodes_) {
    if (one != nullptr && one != node.get()) {
      continue;
    }
    auto read = node->counters();
    if (!read && one != nullptr) {
      return error_answer(read.error());
    }
    if (read) {
      list.push_back(*std::move(read));
    } else {
      silent.push_back(json::object{{"node", node->name()}, {"reason", read.error().text}});
    }
  }
  return {{"schema", "allium.counters/1"},
          {"nodes", std::move(list)},
          {"without_answer", std::move(silent)}};
}

json::object Verbs::start(Node& node) {
  const std::uint64_t begin_ms = wall_clock_ms();
  if (const auto started = nodes_.start(node); !started) {
    return error_answer(started.error());
  }
  static_cast<void>(network_.write_client_file(node));
  return {{"schema", "allium.devnet.start/1"},
          {"node", node.name()},
          {"pid", node.pid()},
          {"start_ms", wall_clock_ms() - begin_ms},
          {"accepts_from_ms", node.accepts_from_ms()}};
}

}  // namespace allium::devnet
