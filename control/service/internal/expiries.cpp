// SPDX-License-Identifier: Apache-2.0

// expire, expire_all and get_expiries.

#include <algorithm>

#include "control/service/internal/rpc_call.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

struct ExpireRequest {
  Authentication who;
  std::vector<std::string> hashes;
  std::vector<std::uint64_t> expiries_ms;
  storage::ExpiryChange change = storage::ExpiryChange::set;
};

ExpireRequest read_expire(RpcFields& fields) {
  ExpireRequest request;
  const bool has_expiry = fields.has("expiry");
  request.expiries_ms = fields.timestamps("expiry");
  const bool extend = fields.flag("extend").value_or(false);
  const bool shorten = fields.flag("shorten").value_or(false);
  request.who = fields.authentication();
  if (!has_expiry) {
    fields.refuse("Required field 'expiry' missing");
  } else if (request.expiries_ms.empty()) {
    fields.refuse("'expiry' does not contain any expiration timestamps");
  }
  if (shorten && extend) {
    fields.refuse("cannot specify both 'shorten' and 'extend'");
  }
  request.change = shorten  ? storage::ExpiryChange::shorten
                   : extend ? storage::ExpiryChange::extend
                            : storage::ExpiryChange::set;
  request.hashes = fields.message_hashes();
  if (request.expiries_ms.size() > 1 && request.expiries_ms.size() != request.hashes.size()) {
    fields.refuse("'expiry' must be a single expiry, or the same length as 'messages'");
  }
  return request;
}

std::string expire_text(const ExpireRequest& request) {
  std::string text = "expire";
  if (request.change != storage::ExpiryChange::set) {
    text += request.change == storage::ExpiryChange::shorten ? "shorten" : "extend";
  }
  for (const std::uint64_t expiry_ms : request.expiries_ms) {
    text += std::to_string(expiry_ms);
  }
  append_all(text, request.hashes);
  return text;
}

/// Answers where the change is not allowed.
bool refuses_expire(const RpcCall& call, const ExpireRequest& request) {
  const bool is_past = std::any_of(request.expiries_ms.begin(), request.expiries_ms.end(),
                                   [&call](std::uint64_t expiry_ms) {
                                     return expiry_ms + call.tolerance_ms() < call.asked_ms();
                                   });
  if (is_past) {
    call.refuse(Status::unauthorised, "expire: timestamp should be >= current time");
    return true;
  }
  if (call.is_badly_signed(request.who, expire_text(request), Access::write,
                           "expire: signature verification failed")) {
    return true;
  }
  const bool may_shorten =
      !request.who.subaccount || grants(request.who.subaccount->token, Access::remove);
  if (!may_shorten && request.change == storage::ExpiryChange::shorten) {
    call.refuse(Status::bad_request,
                "expire: shorten parameter cannot be used with this subaccount token (missing "
                "delete access)");
    return true;
  }
  return false;
}

json::object expire_body(const RpcCall& call, const ExpireRequest& request,
                         const std::vector<std::uint64_t>& capped_ms,
                         const storage::ExpiriesChanged& changed) {
  std::vector<std::uint64_t> applied_ms;
  std::vector<std::string> updated;
  for (const storage::HashExpiry& one : changed.updated) {
    applied_ms.push_back(one.expiry_ms);
    updated.push_back(one.hash);
  }
  const bool is_one = capped_ms.size() == 1;
  if (is_one) {
    applied_ms = capped_ms;
  }
  std::string text = to_hex(request.who.account);
  for (const std::uint64_t expiry_ms : applied_ms) {
    text += std::to_string(expiry_ms);
  }
  append_all(text, request.hashes);
  append_all(text, updated);
  json::object unchanged;
  if (request.change != storage::ExpiryChange::set) {
    for (const storage::HashExpiry& one : changed.unchanged) {
      unchanged[one.hash] = one.expiry_ms;
      text += one.hash + std::to_string(one.expiry_ms);
    }
  }
  json::object mine;
  if (is_one) {
    mine["expiry"] = applied_ms.front();
  } else {
    mine["expiry"] = json::array(applied_ms.begin(), applied_ms.end());
  }
  mine["updated"] = array_of_texts(updated);
  if (request.change != storage::ExpiryChange::set) {
    mine["unchanged"] = std::move(unchanged);
  }
  mine["signature"] = call.receipt(text);
  return mine;
}

void run_expire(const RpcCall& call, const ExpireRequest& request) {
  if (call.turned_away(request.who.account, Asker::owner) || refuses_expire(call, request)) {
    return;
  }
  std::vector<std::uint64_t> capped_ms = request.expiries_ms;
  for (std::uint64_t& expiry_ms : capped_ms) {
    expiry_ms = std::min(expiry_ms, call.asked / storage::kStampsPerMs + storage::kLifeMsMax);
  }
  storage::ExpiryChange change = request.change;
  if (request.who.subaccount && !grants(request.who.subaccount->token, Access::remove)) {
    change = storage::ExpiryChange::extend;  // to shorten a life to nothing would be to delete
  }
  const auto round = SwarmRound::start(call, "expire", {"expiry", "extend", "messages", "shorten"});
  auto done = [round, call, request, capped_ms](const Result<storage::ExpiriesChanged>& changed) {
    if (!changed) {
      round->own_failure(changed.error());
      return;
    }
    round->own_result(expire_body(call, request, capped_ms, *changed));
  };
  call.around.store.change_expiry(
      request.who.account, request.hashes, capped_ms, change, call.when(),
      on_service_thread<storage::ExpiriesChanged>(call.around, std::move(done)));
}

void run_expire_all(const RpcCall& call, const SpacesRequest& request) {
  const auto& [who, spaces, expiry_ms] = request;
  if (call.turned_away(who.account, Asker::owner)) {
    return;
  }
  if (expiry_ms + call.tolerance_ms() < call.asked_ms()) {
    call.refuse(Status::not_acceptable, "expire_all timestamp should be >= current time");
    return;
  }
  const std::string text = "expire_all" + signed_text(spaces) + std::to_string(expiry_ms);
  if (call.is_badly_signed(who, text, Access::remove, "expire_all signature verification failed")) {
    return;
  }
  const auto round = SwarmRound::start(call, "expire_all", {"expiry", "namespace"});
  call.around.store.shorten_all(
      who.account, spaces, expiry_ms, call.when(),
      answer_with_spaces(call, round, "updated", spaces, who.account, expiry_ms));
}

struct LookUpRequest {
  Authentication who;
  std::uint64_t signed_ms = 0;
  std::vector<std::string> hashes;
};

void run_get_expiries(const RpcCall& call, const LookUpRequest& request) {
  const auto& [who, signed_ms, hashes] = request;
  if (call.turned_away(who.account, Asker::owner)) {
    return;
  }
  if (!call.is_timely(signed_ms, call.tolerance_ms())) {
    call.refuse(Status::not_acceptable, "get_expiries timestamp too far from current time");
    return;
  }
  std::string text = "get_expiries" + std::to_string(signed_ms);
  append_all(text, hashes);
  if (call.is_badly_signed(who, text, Access::read, "get_expiries signature verification failed")) {
    return;
  }
  const Result<std::vector<storage::HashExpiry>> found =
      call.around.store.expiries(who.account, hashes, call.now_ms);
  if (!found) {
    call.refuse(Status::internal, "Internal Server Error. Could not look up expiries");
    return;
  }
  json::object expiries;
  for (const storage::HashExpiry& one : *found) {
    expiries[one.hash] = one.expiry_ms;
  }
  json::object body;
  body["expiries"] = std::move(expiries);
  call.reply({Status::ok, std::move(body)});
}

}  // namespace

Run expire_messages(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_expire(fields), run_expire);
}

Run expire_all(const RpcCall& /*call*/, RpcFields& fields) {
  SpacesRequest request;
  request.at_ms = fields.required("expiry", fields.timestamp("expiry"));
  request.spaces = fields.spaces("namespace");
  request.who = fields.authentication();
  return run_with(std::move(request), run_expire_all);
}

Run get_expiries(const RpcCall& /*call*/, RpcFields& fields) {
  LookUpRequest request;
  request.who = fields.authentication();
  request.signed_ms = fields.required("timestamp", fields.timestamp("timestamp"));
  request.hashes = fields.message_hashes();
  return run_with(std::move(request), run_get_expiries);
}

}  // namespace allium::control::internal
