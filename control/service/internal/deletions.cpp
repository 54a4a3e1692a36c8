// SPDX-License-Identifier: Apache-2.0

// delete, delete_all and delete_before.

#include <algorithm>

#include "control/service/internal/rpc_call.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

constexpr std::uint64_t kFutureToleranceMs = 60'000;

/// A request that no member deleted anything for, though the client said that it must.
void not_found_where_nothing_was_deleted(Answer& answer) {
  if (answer.status != Status::ok) {
    return;
  }
  for (const auto& [key, member] : answer.body.get_object().at("swarm").get_object()) {
    const json::value* deleted = member.get_object().if_contains("deleted");
    if (deleted != nullptr && deleted->is_array() && !deleted->get_array().empty()) {
      return;
    }
  }
  answer.status = Status::not_found;
}

/// What was done to the messages of one namespace or of all, with a receipt over all hashes, sorted.
json::object spaces_body(const RpcCall& call, std::string_view name, const Spaces& spaces,
                         const Account& account, std::uint64_t signed_ms,
                         const storage::HashesBySpace& changed) {
  std::vector<std::string> all;
  json::object by_space;
  for (const auto& [space, hashes] : changed) {
    all.insert(all.end(), hashes.begin(), hashes.end());
    by_space[std::to_string(space)] = array_of_texts(hashes);
  }
  std::sort(all.begin(), all.end());
  std::string text = to_hex(account) + std::to_string(signed_ms);
  append_all(text, all);
  json::object mine;
  mine["signature"] = call.receipt(text);
  if (spaces) {
    mine[name] = array_of_texts(all);
  } else {
    mine[name] = std::move(by_space);
  }
  return mine;
}

}  // namespace

storage::Done<storage::HashesBySpace> answer_with_spaces(const RpcCall& call,
                                                         std::shared_ptr<SwarmRound> round,
                                                         std::string_view name, Spaces spaces,
                                                         const Account& account,
                                                         std::uint64_t signed_ms) {
  return on_service_thread<storage::HashesBySpace>(
      call.around, [call, round = std::move(round), name, spaces, account,
                    signed_ms](const Result<storage::HashesBySpace>& changed) {
        if (!changed) {
          round->own_failure(changed.error());
          return;
        }
        round->own_result(spaces_body(call, name, spaces, account, signed_ms, *changed));
      });
}

namespace {

struct DeleteRequest {
  Authentication who;
  std::vector<std::string> hashes;
  bool must_delete = false;
};

void run_delete(const RpcCall& call, const DeleteRequest& request) {
  const auto& [who, hashes, must_delete] = request;
  if (call.turned_away(who.account, Asker::owner)) {
    return;
  }
  std::string text = "delete";
  append_all(text, hashes);
  if (call.is_badly_signed(who, text, Access::remove,
                           "delete_msgs signature verification failed")) {
    return;
  }
  const auto round = SwarmRound::start(call, "delete", {"messages"});
  if (must_delete && call.is_from_client()) {
    round->set_finish(not_found_where_nothing_was_deleted);
  }
  auto done = [round, call, request](const Result<std::vector<storage::Hash>>& deleted) {
    if (!deleted) {
      round->own_failure(deleted.error());
      return;
    }
    std::string receipt_text = to_hex(request.who.account);
    append_all(receipt_text, request.hashes);
    append_all(receipt_text, *deleted);
    json::object mine;
    mine["deleted"] = array_of_texts(*deleted);
    mine["signature"] = call.receipt(receipt_text);
    round->own_result(std::move(mine));
  };
  call.around.store.remove(
      who.account, hashes, call.when(),
      on_service_thread<std::vector<storage::Hash>>(call.around, std::move(done)));
}

void run_delete_all(const RpcCall& call, const SpacesRequest& request) {
  const auto& [who, spaces, asked_ms] = request;
  if (call.turned_away(who.account, Asker::owner)) {
    return;
  }
  if (!call.is_timely(asked_ms, call.tolerance_ms())) {
    call.refuse(Status::not_acceptable, "delete_all timestamp too far from current time");
    return;
  }
  const std::string text = "delete_all" + signed_text(spaces) + std::to_string(asked_ms);
  if (call.is_badly_signed(who, text, Access::remove, "delete_all signature verification failed")) {
    return;
  }
  const auto round = SwarmRound::start(call, "delete_all", {"namespace", "timestamp"});
  auto done = answer_with_spaces(call, round, "deleted", spaces, who.account, asked_ms);
  call.around.store.remove_all(who.account, spaces, call.when(), std::move(done));
}

void run_delete_before(const RpcCall& call, const SpacesRequest& request) {
  const auto& [who, spaces, before_ms] = request;
  if (call.turned_away(who.account, Asker::owner)) {
    return;
  }
  if (before_ms > call.asked_ms() + kFutureToleranceMs) {
    call.refuse(Status::unauthorised, "delete_before timestamp too far in the future");
    return;
  }
  const std::string text = "delete_before" + signed_text(spaces) + std::to_string(before_ms);
  if (call.is_badly_signed(who, text, Access::remove,
                           "delete_before signature verification failed")) {
    return;
  }
  const auto round = SwarmRound::start(call, "delete_before", {"before", "namespace"});
  call.around.store.remove_before(
      who.account, spaces, before_ms, call.when(),
      answer_with_spaces(call, round, "deleted", spaces, who.account, before_ms));
}

}  // namespace

Run delete_messages(const RpcCall& /*call*/, RpcFields& fields) {
  DeleteRequest request;
  request.who = fields.authentication();
  request.hashes = fields.message_hashes();
  request.must_delete = fields.flag("required").value_or(false);
  return run_with(std::move(request), run_delete);
}

Run delete_all(const RpcCall& /*call*/, RpcFields& fields) {
  SpacesRequest request;
  request.spaces = fields.spaces("namespace");
  request.who = fields.authentication();
  request.at_ms = fields.required("timestamp", fields.timestamp("timestamp"));
  return run_with(std::move(request), run_delete_all);
}

Run delete_before(const RpcCall& /*call*/, RpcFields& fields) {
  SpacesRequest request;
  request.at_ms = fields.required("before", fields.timestamp("before"));
  request.spaces = fields.spaces("namespace");
  request.who = fields.authentication();
  return run_with(std::move(request), run_delete_before);
}

}  // namespace allium::control::internal
