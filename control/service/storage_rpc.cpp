// SPDX-License-Identifier: Apache-2.0
#include "control/service/storage_rpc.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <boost/json/parse.hpp>

#include "control/service/bt.hpp"
#include "control/service/internal/rpc_call.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {
namespace json = boost::json;

namespace internal {
namespace {

/// Whether members hand it to each other.
enum class Scope : std::uint8_t { node, swarm, composite };

struct Method {
  std::string_view name;
  Run (*read)(const RpcCall&, RpcFields&);
  Scope scope;
};

constexpr std::array kMethods = {
    Method{"store", store_message, Scope::swarm},
    Method{"retrieve", retrieve_messages, Scope::node},
    Method{"delete", delete_messages, Scope::swarm},
    Method{"delete_all", delete_all, Scope::swarm},
    Method{"delete_before", delete_before, Scope::swarm},
    Method{"expire", expire_messages, Scope::swarm},
    Method{"expire_all", expire_all, Scope::swarm},
    Method{"get_expiries", get_expiries, Scope::node},
    Method{"get_swarm", get_swarm, Scope::node},
    Method{"get_snodes_for_pubkey", get_swarm, Scope::node},
    Method{"info", info, Scope::node},
    Method{"oxend_request", oxend_request, Scope::node},
    Method{"active_nodes_bin", active_nodes, Scope::node},
    Method{"revoke_subaccount", revoke_subaccount, Scope::swarm},
    Method{"unrevoke_subaccount", unrevoke_subaccount, Scope::swarm},
    Method{"revoked_subaccounts", revoked_subaccounts, Scope::node},
    Method{"batch", batch, Scope::composite},
    Method{"sequence", sequence, Scope::composite},
    Method{"ifelse", if_else, Scope::composite},
};

const Method* find_method(std::string_view name) noexcept {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [name](const Method& method) { return method.name == name; });
  return found == kMethods.end() ? nullptr : found;
}

}  // namespace

bool run_method(std::string_view name, const RpcCall& call) {
  const Method* method = find_method(name);
  if (method == nullptr) {
    return false;
  }
  if (!call.is_from_client() && method->scope != Scope::swarm) {
    call.refuse(Status::bad_request,
                "invalid request: received invalid forwarded non-forwardable request");
    return true;
  }
  RpcFields fields = call.fields();
  const Run run = method->read(call, fields);
  if (!call.refused(fields)) {
    run(call);
  }
  return true;
}

Run read_method(std::string_view name, const RpcCall& call, RpcFields& fields) {
  const Method* method = find_method(name);
  ALLIUM_CHECK(method != nullptr);
  return method->read(call, fields);
}

std::vector<std::string_view> method_names() {
  std::vector<std::string_view> names;
  for (const Method& method : kMethods) {
    names.push_back(method.name);
  }
  return names;
}

bool is_composite(std::string_view name) noexcept {
  const Method* method = find_method(name);
  return method != nullptr && method->scope == Scope::composite;
}

bool is_method(std::string_view name) noexcept {
  return find_method(name) != nullptr;
}

}  // namespace internal

namespace {

using storage::Stamp;
using storage::stamp_of;

/// A member whose clock is further ahead is not believed: nothing could be asked after it for as long.
constexpr std::uint64_t kStampAheadMsMax = 10'000;

/// A JSON value takes many times the room of its text; requests have few values.
constexpr std::size_t kValuesMax = 100'000;

/// No fewer than there are: each but the first is behind a comma or a bracket.
std::size_t count_values(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return c == ',' || c == '[' || c == '{'; }));
}

std::optional<json::value> parse_bounded(std::string_view text) {
  if (count_values(text) > kValuesMax) {
    return std::nullopt;
  }
  json::error_code error;
  json::value value = json::parse(text, error);
  return error ? std::nullopt : std::optional(std::move(value));
}

/// A member's command that its sender has given up: he has queued it, and others may have sent us later ones since. Where this
/// process stood still, or the link did, both come at once and in any order. Where his clock is behind ours by so much,
/// everything of his is late, which costs nothing.
bool is_given_up(Stamp asked, std::uint64_t now_ms) {
  return asked / storage::kStampsPerMs + kSwarmTimeoutMs <= now_ms;
}

}  // namespace

StorageRpc::StorageRpc(RpcSurroundings surroundings)
    : around_(std::move(surroundings)),
      stamps_(static_cast<std::uint16_t>(load_be(around_.membership.own().data(), 2)),
              around_.now_ms(), around_.store.status().latest_asked) {}

std::vector<std::string_view> StorageRpc::methods() {
  return internal::method_names();
}

void StorageRpc::call_json(std::string_view text, RpcSource source, Reply reply) {
  std::optional<json::value> request = parse_bounded(text);
  if (!request) {
    reply(refuse(Status::bad_request, "invalid json"));
    return;
  }
  auto* object = request->if_object();
  const auto* method = object == nullptr ? nullptr : object->if_contains("method");
  if (method == nullptr || !method->is_string()) {
    reply(refuse(Status::bad_request, "invalid json: no `method` field"));
    return;
  }
  auto* params = object->if_contains("params");
  if (params == nullptr || !params->is_object()) {
    reply(refuse(Status::bad_request, "invalid json: no `params` field"));
    return;
  }
  const std::string name(method->get_string().data(), method->get_string().size());
  call(name, std::move(params->get_object()), Format::json, source, std::move(reply));
}

void StorageRpc::call_params(std::string_view method, std::string_view params, RpcSource source,
                             std::function<void(Answer, Format)> reply) {
  const Format format = !params.empty() && params.front() == 'd' ? Format::bt : Format::json;
  std::optional<json::value> parsed;
  if (format == Format::bt) {
    Result<json::value> bt = parse_bt(params, kValuesMax);
    parsed = bt ? std::optional(std::move(*bt)) : std::nullopt;
  } else {
    parsed = parse_bounded(params.empty() ? "{}" : params);
  }
  if (!parsed || !parsed->is_object()) {
    reply(refuse(Status::bad_request, "invalid body: expected json or bt_dict"), format);
    return;
  }
  call(method, std::move(parsed->get_object()), format, source,
       [reply = std::move(reply), format](Answer answer) { reply(std::move(answer), format); });
}

void StorageRpc::call(std::string_view method, json::object params, Format format, RpcSource source,
                      Reply reply) {
  if (!around_.membership.is_ready()) {
    reply(refuse(Status::unavailable, "Service node is not ready: no list of nodes yet"));
    return;
  }
  const std::uint64_t now_ms = around_.now_ms();
  const bool is_from_client = source == RpcSource::client || source == RpcSource::onion;
  std::optional<Stamp> theirs = is_from_client ? std::nullopt : internal::stamp_in(params);
  if (theirs) {
    theirs = std::min(*theirs, stamp_of(now_ms + kStampAheadMsMax));
  }
  if (theirs && *theirs < stamp_of(now_ms - std::min(now_ms, storage::kLifeMsMax))) {
    reply(refuse(Status::bad_request, "asked for too long ago"));
    return;
  }
  stamps_.saw(theirs.value_or(0));
  const Stamp asked = theirs ? *theirs : stamps_.next(now_ms);
  if (is_given_up(asked, now_ms)) {
    source = source == RpcSource::peer       ? RpcSource::late_peer
             : source == RpcSource::stranger ? RpcSource::late_stranger
                                             : source;
  }
  const internal::RpcCall call = {around_,
                                  stamps_,
                                  std::make_shared<const json::object>(std::move(params)),
                                  format,
                                  source,
                                  now_ms,
                                  asked,
                                  std::make_shared<std::size_t>(internal::kRetrieveBytesMax),
                                  std::move(reply)};
  if (!internal::run_method(method, call)) {
    call.refuse(Status::bad_request, "no method " + std::string(beginning_of(method, 64)));
  }
}

}  // namespace allium::control
