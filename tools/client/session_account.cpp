// SPDX-License-Identifier: Apache-2.0
#include "tools/client/session_account.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "control/service/encoding.hpp"

namespace allium::client {
namespace json = boost::json;

namespace {

constexpr std::uint8_t kSessionPrefix = 0x05;
constexpr std::uint64_t kDayMs = 86'400'000;
constexpr std::size_t kTokenHexChars = 72;
constexpr std::array<std::string_view, 5> kRawFields = {"data", "signature", "subaccount",
                                                        "subaccount_sig", "subkey"};

bool is_raw(std::string_view name) noexcept {
  return std::find(kRawFields.begin(), kRawFields.end(), name) != kRawFields.end();
}

bool is_utf8(const json::string& text) {
  json::error_code error;
  json::parse(json::serialize(text), error);
  return !error;
}

/// A number as signatures have it; nullopt: something else.
std::optional<std::string> number_text(const json::value& value) {
  if (value.is_int64()) {
    return std::to_string(value.get_int64());
  }
  if (value.is_uint64()) {
    return std::to_string(value.get_uint64());
  }
  if (value.is_string()) {
    return std::string(value.get_string());
  }
  return std::nullopt;
}

/// "" for namespace 0, given or not; "all" for all.
std::string space_text(const json::object& params) {
  const json::value* const space = params.if_contains("namespace");
  const std::string text = space == nullptr ? "0" : number_text(*space).value_or("");
  return text == "0" ? "" : text;
}

/// Of one value or a list of them, one behind the other. What has no text is left out: the node says so.
std::string joined(const json::object& params, const char* name,
                   std::optional<std::string> (*text_of_one)(const json::value&)) {
  std::string text;
  const json::value* const value = params.if_contains(name);
  if (value != nullptr && value->is_array()) {
    for (const json::value& item : value->get_array()) {
      text += text_of_one(item).value_or("");
    }
  } else if (value != nullptr) {
    text += text_of_one(*value).value_or("");
  }
  return text;
}

std::string list_text(const json::object& params, const char* name) {
  return joined(params, name, number_text);
}

std::optional<std::string> token_from_text(std::string_view text) {
  return text.size() == kTokenHexChars ? control::from_hex(text) : control::from_base64(text);
}

bool is_set(const json::object& params, const char* name) {
  const json::value* const flag = params.if_contains(name);
  return flag != nullptr && flag->is_bool() && flag->get_bool();
}

std::optional<std::string> token_bytes(const json::value& value) {
  const json::string* const text = value.if_string();
  return text == nullptr ? std::nullopt : token_from_text(*text);
}

/// What the owner signs; nullopt: this method has no signature.
std::optional<std::string> signed_text(std::string_view method, const json::object& params) {
  const std::string name(method);
  if (method == "store") {
    const char* const when = params.contains("sig_timestamp") ? "sig_timestamp" : "timestamp";
    return name + space_text(params) + list_text(params, when);
  }
  if (method == "retrieve" || method == "delete_all") {
    return name + space_text(params) + list_text(params, "timestamp");
  }
  if (method == "delete_before") {
    return name + space_text(params) + list_text(params, "before");
  }
  if (method == "expire_all") {
    return name + space_text(params) + list_text(params, "expiry");
  }
  if (method == "delete") {
    return name + list_text(params, "messages");
  }
  if (method == "expire") {
    const std::string how = is_set(params, "shorten")  ? "shorten"
                            : is_set(params, "extend") ? "extend"
                                                       : "";
    return name + how + list_text(params, "expiry") + list_text(params, "messages");
  }
  if (method == "get_expiries") {
    return name + list_text(params, "timestamp") + list_text(params, "messages");
  }
  if (method == "revoked_subaccounts") {
    return name + list_text(params, "timestamp");
  }
  if (method == "revoke_subaccount" || method == "unrevoke_subaccount") {
    const char* const tokens = method == "revoke_subaccount" ? "revoke" : "unrevoke";
    return name + list_text(params, "timestamp") + joined(params, tokens, token_bytes);
  }
  return std::nullopt;
}

Result<void> make_raw(json::object& object);

/// Requests of a batch are inside lists.
Result<void> make_raw(json::value& value) {
  if (json::object* const object = value.if_object()) {
    return make_raw(*object);
  }
  if (value.is_double()) {
    return fail(Errc::malformed, "packets carry whole numbers only: use --lane compat");
  }
  if (json::array* const items = value.if_array()) {
    for (json::value& item : *items) {
      if (Result<void> made = make_raw(item); !made) {
        return made;
      }
    }
  }
  return {};
}

Result<void> make_raw(json::object& object) {
  for (auto& member : object) {
    if (!is_raw(member.key()) || !member.value().is_string()) {
      if (Result<void> made = make_raw(member.value()); !made) {
        return made;
      }
      continue;
    }
    const auto raw = control::from_base64(member.value().get_string());
    if (!raw) {
      return fail(Errc::malformed, "\"" + std::string(member.key()) + "\" is not base64");
    }
    member.value() = *raw;
  }
  return {};
}

/// Tokens come in base64 or hex, one or a list.
void make_raw_tokens(json::value& value) {
  if (json::array* const items = value.if_array()) {
    std::for_each(items->begin(), items->end(), make_raw_tokens);
  } else if (const json::string* const text = value.if_string()) {
    value = token_from_text(*text).value_or(std::string(*text));
  }
}

bool has_timestamp(std::string_view method) noexcept {
  return method == "store" || method == "retrieve" || method == "delete_all" ||
         method == "get_expiries" || method == "revoke_subaccount" ||
         method == "unrevoke_subaccount" || method == "revoked_subaccounts";
}

}  // namespace

Result<SessionAccount> SessionAccount::from_seed(const control::Seed& seed) {
  SessionAccount account(control::IdentitySecret::from_seed(seed));
  const auto montgomery = control::x25519_of(account.key_.public_key());
  if (!montgomery) {
    return fail(Errc::malformed, "this key has no X25519 form: make another one");
  }
  account.account_[0] = kSessionPrefix;
  std::copy(montgomery->begin(), montgomery->end(), account.account_.begin() + 1);
  return account;
}

std::string SessionAccount::id() const {
  return control::to_hex(account_);
}

Result<json::object> SessionAccount::complete(std::string_view method, json::object params,
                                              std::uint64_t now_ms) const {
  const auto add = [&params](const char* name, const json::value& value) {
    if (!params.contains(name)) {
      params[name] = value;
    }
  };
  add("pubkey", json::value(id()));
  if (has_timestamp(method)) {
    add("timestamp", now_ms);
  }
  if (method == "store" && !params.contains("expiry")) {
    add("ttl", kDayMs);
  }
  if (method == "delete_before") {
    add("before", now_ms);
  }
  if (method == "expire_all") {
    add("expiry", now_ms);
  }
  const bool is_own = params.at("pubkey") == json::value(id());
  const auto text = signed_text(method, params);
  if (!is_own || !text || params.contains("signature")) {
    return params;
  }
  params["signature"] = control::to_base64(key_.sign(control::bytes_of(*text)));
  add("pubkey_ed25519", json::value(control::to_hex(key_.public_key())));
  return params;
}

Result<storage::Account> account_of(const json::object& params) {
  const json::value* const key = params.if_contains("pubkey");
  const auto bytes =
      key != nullptr && key->is_string() ? control::from_hex(key->get_string()) : std::nullopt;
  const auto account = bytes ? control::array_of<33>(*bytes) : std::nullopt;
  if (!account) {
    return fail(Errc::malformed,
                "the request names no account: give \"pubkey\" (66 hex digits), or --account FILE");
  }
  return *account;
}

Receipts check_receipts(const json::value& body, std::span<const control::IdentityKey> members) {
  Receipts receipts{members.size(), 0};
  const json::object* const object = body.if_object();
  const json::value* const hash = object == nullptr ? nullptr : object->if_contains("hash");
  const json::value* const swarm = object == nullptr ? nullptr : object->if_contains("swarm");
  if (hash == nullptr || !hash->is_string() || swarm == nullptr || !swarm->is_object()) {
    return receipts;
  }
  for (const control::IdentityKey& member : members) {
    const json::value* const entry = swarm->get_object().if_contains(control::to_hex(member));
    const json::object* const fields = entry == nullptr ? nullptr : entry->if_object();
    const json::value* const text = fields == nullptr ? nullptr : fields->if_contains("signature");
    const auto raw = text != nullptr && text->is_string() ? control::from_base64(text->get_string())
                                                          : std::nullopt;
    const auto signature = raw ? control::array_of<64>(*raw) : std::nullopt;
    receipts.valid += signature && control::signature_holds(
                                       member, control::bytes_of(hash->get_string()), *signature)
                          ? 1U
                          : 0U;
  }
  return receipts;
}

Result<json::object> params_for_bt(std::string_view method, json::object params) {
  // The parameters of a question to the chain are JSON in either spelling.
  json::value* const inner = method == "oxend_request" ? params.if_contains("params") : nullptr;
  if (inner != nullptr && inner->is_object()) {
    *inner = json::serialize(*inner);
  }
  for (const char* const name : {"revoke", "unrevoke"}) {
    if (json::value* const tokens = params.if_contains(name)) {
      make_raw_tokens(*tokens);
    }
  }
  if (Result<void> made = make_raw(params); !made) {
    return tl::unexpected(made.error());
  }
  return params;
}

json::value body_from_bt(json::value body) {
  if (body.is_string() && !is_utf8(body.get_string())) {
    body = control::to_base64(control::bytes_of(body.get_string()));
  } else if (json::array* const items = body.if_array()) {
    for (json::value& item : *items) {
      item = body_from_bt(std::move(item));
    }
  } else if (json::object* const members = body.if_object()) {
    for (auto& member : *members) {
      if (is_raw(member.key()) && member.value().is_string()) {
        member.value() = control::to_base64(control::bytes_of(member.value().get_string()));
      } else {
        member.value() = body_from_bt(std::move(member.value()));
      }
    }
  }
  return body;
}

}  // namespace allium::client
