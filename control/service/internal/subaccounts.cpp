// SPDX-License-Identifier: Apache-2.0

// revoke_subaccount, unrevoke_subaccount and revoked_subaccounts: the account's own key only.

#include "control/service/internal/rpc_call.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

struct TokenRequest {
  Authentication who;
  std::vector<Token> tokens;
  std::uint64_t signed_ms = 0;
};

/// Clients hand in all they know of, which may be more than the 50 that count. More than a store keeps it could not take back.
constexpr std::size_t kUnrevokedMax = storage::kRevocationsKept;

/// `tokens` names their field; empty: there is none.
TokenRequest read_request(RpcFields& fields, std::string_view tokens, std::size_t count_max = 0) {
  TokenRequest request;
  request.who = fields.authentication();
  request.who.subaccount.reset();
  if (!tokens.empty()) {
    request.tokens = fields.tokens(tokens, count_max);
  }
  request.signed_ms = fields.required("timestamp", fields.timestamp("timestamp"));
  return request;
}

void append_tokens(std::string& text, const std::vector<Token>& tokens) {
  for (const Token& token : tokens) {
    text += text_of(token);
  }
}

bool refuses(const RpcCall& call, const TokenRequest& request, const std::string& method) {
  if (!call.is_timely(request.signed_ms, call.tolerance_ms())) {
    call.refuse(Status::not_acceptable, method + " timestamp too far from current time");
    return true;
  }
  std::string text = method + std::to_string(request.signed_ms);
  append_tokens(text, request.tokens);
  if (call.is_badly_signed(request.who, text, Access::none,
                           method + " signature verification failed")) {
    return true;
  }
  return false;
}

storage::Done<std::size_t> answer_with_receipt(const RpcCall& call,
                                               std::shared_ptr<SwarmRound> round,
                                               const TokenRequest& request, bool with_count) {
  return on_service_thread<std::size_t>(
      call.around,
      [call, round = std::move(round), request, with_count](const Result<std::size_t>& count) {
        if (!count) {
          round->own_failure(count.error());
          return;
        }
        std::string text = to_hex(request.who.account) + std::to_string(request.signed_ms);
        append_tokens(text, request.tokens);
        json::object mine;
        mine["signature"] = call.receipt(text);
        if (with_count) {
          mine["count"] = *count;
        }
        if (call.is_late() && *count > 0) {
          mine["updated"] = array_of_texts({"revocations"});
        }
        round->own_result(std::move(mine));
      });
}

void run_revoke(const RpcCall& call, const TokenRequest& request) {
  if (call.turned_away(request.who.account, Asker::owner) ||
      refuses(call, request, "revoke_subaccount")) {
    return;
  }
  const auto round = SwarmRound::start(call, "revoke_subaccount", {"revoke", "timestamp"});
  call.around.store.revoke(request.who.account, request.tokens, request.signed_ms, call.when(),
                           answer_with_receipt(call, round, request, false));
}

void run_unrevoke(const RpcCall& call, const TokenRequest& request) {
  if (call.turned_away(request.who.account, Asker::owner) ||
      refuses(call, request, "unrevoke_subaccount")) {
    return;
  }
  const auto round = SwarmRound::start(call, "unrevoke_subaccount", {"unrevoke", "timestamp"});
  call.around.store.unrevoke(request.who.account, request.tokens, call.when(),
                             answer_with_receipt(call, round, request, true));
}

void run_list_revoked(const RpcCall& call, const TokenRequest& request) {
  if (call.turned_away(request.who.account, Asker::owner) ||
      refuses(call, request, "revoked_subaccounts")) {
    return;
  }
  const Result<std::vector<Token>> revoked = call.around.store.revoked(request.who.account);
  if (!revoked) {
    call.refuse(Status::internal, "Internal Server Error. Could not retrieve revoked_subaccounts");
    return;
  }
  json::array tokens;
  for (const Token& token : *revoked) {
    tokens.emplace_back(call.bytes(token));
  }
  json::object body;
  body["revoked_subaccounts"] = std::move(tokens);
  call.add_clock(body);
  call.reply({Status::ok, std::move(body)});
}

}  // namespace

Run revoke_subaccount(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_request(fields, "revoke", storage::kRevokedMax), run_revoke);
}

Run unrevoke_subaccount(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_request(fields, "unrevoke", kUnrevokedMax), run_unrevoke);
}

Run revoked_subaccounts(const RpcCall& /*call*/, RpcFields& fields) {
  return run_with(read_request(fields, ""), run_list_revoked);
}

}  // namespace allium::control::internal
