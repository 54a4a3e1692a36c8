// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/rpc_call.hpp"

#include <cstdlib>

#include "control/service/bt.hpp"
#include "control/service/internal/member_entry.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

std::string_view as_text(const json::value* value) noexcept {
  const auto* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

std::string raw_token(std::string_view text, Format format) {
  if (format == Format::bt) {
    return std::string(text);
  }
  return (text.size() == 72 ? from_hex(text) : from_base64(text)).value_or("");
}

std::string raw_bytes(std::string_view text, Format format) {
  return format == Format::bt ? std::string(text) : from_base64(text).value_or("");
}

json::value raw_tokens(const json::value& value, Format format) {
  if (const auto* list = value.if_array()) {
    json::array tokens;
    for (const json::value& element : *list) {
      tokens.emplace_back(raw_token(as_text(&element), format));
    }
    return tokens;
  }
  return json::string(raw_token(as_text(&value), format));
}

/// Who signed, in the spelling of members: bytes raw, one account field, no alias.
json::object raw_authentication(const RpcCall& call) {
  json::object raw;
  RpcFields fields = call.fields();
  raw["pubkey"] = text_of(fields.account(true));
  const auto given = [&](std::string_view name) { return as_text(call.params->if_contains(name)); };
  if (given("signature").empty()) {
    return raw;
  }
  raw["signature"] = raw_bytes(given("signature"), call.format);
  if (const std::string_view key = given("pubkey_ed25519"); !key.empty()) {
    raw["pubkey_ed25519"] = key.size() == 64 ? from_hex(key).value_or("") : std::string(key);
  }
  if (!given("subaccount").empty()) {
    raw["subaccount"] = raw_token(given("subaccount"), call.format);
    raw["subaccount_sig"] = raw_bytes(given("subaccount_sig"), call.format);
  }
  return raw;
}

std::string params_for_members(const RpcCall& call, std::initializer_list<std::string_view> names,
                               json::object more) {
  json::object params = raw_authentication(call);
  for (const std::string_view name : names) {
    const json::value* value = call.params->if_contains(name);
    if (value != nullptr && !value->is_null()) {
      const bool is_tokens = name == "revoke" || name == "unrevoke";
      params[name] = is_tokens ? raw_tokens(*value, call.format) : *value;
    }
  }
  params[kAskedField] = call.asked;
  for (auto& [name, value] : more) {
    params[name] = std::move(value);
  }
  return serialise_bt(params);
}

}  // namespace

json::string RpcCall::bytes(Bytes raw) const {
  return written(text_of(raw), format);
}

void RpcCall::add_clock(json::object& body) const {
  body["t"] = now_ms;
  body["hf"] = json::array{kHardfork[0], kHardfork[1]};
}

bool RpcCall::refused(const RpcFields& fields) const {
  if (fields.problem()) {
    refuse(Status::bad_request, "invalid request: " + *fields.problem());
  }
  return fields.problem().has_value();
}

bool RpcCall::turned_away(const Account& account, Asker asker) const {
  if (around.membership.is_ours(account)) {
    const bool is_too_much =
        source == RpcSource::onion && around.may_go_on && !around.may_go_on(account, asker);
    if (is_too_much) {
      refuse(Status::too_many_requests, "too many requests for this account: slow down");
    }
    return is_too_much;
  }
  const std::optional<SwarmId> swarm = around.membership.swarm_of(account);
  if (!swarm) {
    refuse(Status::internal, "No swarms known!");
    return true;
  }
  json::object body = swarm_body(around.membership, *swarm);
  add_clock(body);
  reply({Status::misdirected, std::move(body)});
  return true;
}

bool RpcCall::is_timely(std::uint64_t timestamp_ms, std::uint64_t tolerance_ms) const noexcept {
  return timestamp_ms + tolerance_ms >= asked_ms() && timestamp_ms <= asked_ms() + tolerance_ms;
}

bool RpcCall::is_badly_signed(const Authentication& who, std::string_view message, Access wanted,
                              std::string_view text, bool heeds_revocation) const {
  std::vector<Token> revoked;
  // What a member took, it took before it knew of the revocation; its client has the answer. Were it refused here, members would stay unequal.
  if (who.subaccount && heeds_revocation && !is_from_member()) {
    Result<std::vector<Token>> known = around.store.revoked(who.account);
    if (!known) {
      refuse(Status::internal, "Internal Server Error. Could not retrieve revoked_subaccounts");
      return true;
    }
    revoked = *std::move(known);
  }
  const bool is_good = holds(who, message, wanted, revoked);
  if (!is_good) {
    refuse(Status::unauthorised, text);
  } else if (source == RpcSource::onion && around.on_proved) {
    around.on_proved(who.account);
  }
  return !is_good;
}

json::string RpcCall::receipt(std::string_view message) const {
  return bytes(around.identity.sign(bytes_of(message)));
}

std::shared_ptr<SwarmRound> SwarmRound::start(const RpcCall& call, std::string_view method,
                                              std::initializer_list<std::string_view> names,
                                              json::object more) {
  const std::size_t members = call.is_from_client() ? call.around.swarm.others().size() : 0;
  // The members, and that none is left who has missed it for good.
  auto round = std::make_shared<SwarmRound>(call, method, members > 0 ? members + 1 : 0);
  if (members > 0) {
    round->on_own_ = call.around.swarm.forward(
        {std::string(method), params_for_members(call, names, std::move(more))},
        [round](const MemberReply& reply) { round->member_result(reply); },
        [round](bool is_lost) {
          round->is_lost_ = is_lost;
          round->one_less();
        });
  } else if (call.is_from_client()) {
    call.around.swarm.took_alone(
        {std::string(method), params_for_members(call, names, std::move(more))});
  }
  return round;
}

SwarmRound::SwarmRound(const RpcCall& call, std::string_view method, std::size_t others)
    : around_(call.around),
      method_(method),
      format_(call.format),
      is_from_client_(call.is_from_client()),
      reply_(call.reply),
      pending_(others + 1) {}

void SwarmRound::own_entry(json::object mine, json::object top, bool is_done) {
  mine_ = std::move(mine);
  top_ = std::move(top);
  if (on_own_) {
    std::exchange(on_own_, nullptr)(is_done);
  }
  one_less();
}

void SwarmRound::own_result(json::object mine, json::object top) {
  own_entry(std::move(mine), std::move(top), true);
}

void SwarmRound::own_failure(const Error& error, json::object top) {
  // The store's own words name files of this machine, and are for its log.
  const std::string_view reason = error.code == Errc::full || error.code == Errc::unavailable ||
                                          error.code == Errc::out_of_range
                                      ? std::string_view(error.text)
                                      : "the message store cannot be written";
  json::object mine;
  mine["failed"] = true;
  mine["query_failure"] = true;
  mine["reason"] = reason;
  // What is beyond a bound will be so at any time.
  own_entry(std::move(mine), std::move(top), error.code == Errc::out_of_range);
}

void SwarmRound::member_result(const MemberReply& reply) {
  members_[to_hex(reply.member)] = member_entry(method_, reply, format_);
  one_less();
}

void SwarmRound::one_less() {
  if (--pending_ > 0) {
    return;
  }
  Answer answer;
  bool all_failed = mine_.contains("failed");
  for (const auto& [key, member] : members_) {
    all_failed &= member.get_object().contains("failed");
  }
  if (all_failed) {
    top_.clear();
  }
  if (is_from_client_) {
    members_[to_hex(around_.membership.own())] = std::move(mine_);
    top_["swarm"] = std::move(members_);
    top_["t"] = around_.now_ms();
    top_["hf"] = json::array{kHardfork[0], kHardfork[1]};
    answer.body = std::move(top_);
  } else {
    answer.body = std::move(mine_);
  }
  answer.status = all_failed || is_lost_ ? Status::internal : Status::ok;
  if (finish_) {
    finish_(answer);
  }
  reply_(std::move(answer));
}

json::array array_of_texts(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) {
    array.emplace_back(text);
  }
  return array;
}

}  // namespace allium::control::internal
