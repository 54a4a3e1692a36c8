// SPDX-License-Identifier: Apache-2.0
#include "control/service/rpc_fields.hpp"

#include <charconv>
#include <limits>
#include <utility>

#include "control/service/encoding.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

constexpr std::uint8_t kSessionPrefix = 0x05;
/// What is less (3 March 1973) was meant as seconds.
constexpr std::uint64_t kMillisecondsMin = 100'000'000'000;

/// Integers that fit 63 bits and a sign; beyond there is no time, and no number that anyone needs.
std::optional<std::int64_t> integer_of(const json::value& value) noexcept {
  if (const auto* number = value.if_int64()) {
    return *number;
  }
  const auto* number = value.if_uint64();
  return number != nullptr && *number <= std::numeric_limits<std::int64_t>::max()
             ? std::optional(static_cast<std::int64_t>(*number))
             : std::nullopt;
}

std::optional<std::uint64_t> unsigned_of(const json::value& value) noexcept {
  const std::optional<std::int64_t> number = integer_of(value);
  return number && *number >= 0 ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

std::optional<std::string> signature_bytes(std::string_view text) {
  const bool is_padded = text.size() == 88 && text.substr(86) == "==";
  return text.size() == 86 || is_padded ? from_base64(text) : std::nullopt;
}

}  // namespace

void RpcFields::refuse(std::string text) {
  if (!problem_) {
    problem_ = std::move(text);
  }
}

const json::value* RpcFields::find(std::string_view name) const noexcept {
  const json::value* value = object_.if_contains(name);
  return value != nullptr && value->is_null() ? nullptr : value;
}

void RpcFields::expect(std::string_view name, std::string_view type) {
  refuse("Invalid value given for '" + std::string(name) + "': expected " + std::string(type));
}

std::optional<std::string_view> RpcFields::text(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* string = value->if_string()) {
    return std::string_view(*string);
  }
  expect(name, "string");
  return std::nullopt;
}

std::optional<std::int64_t> RpcFields::integer(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto number = integer_of(*value)) {
    return *number;
  }
  expect(name, "integer");
  return std::nullopt;
}

std::optional<bool> RpcFields::flag(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* boolean = value->if_bool()) {
    return *boolean;
  }
  const auto* number = value->if_int64();
  if (format_ == Format::bt && number != nullptr && (*number == 0 || *number == 1)) {
    return *number == 1;
  }
  expect(name, "boolean");
  return std::nullopt;
}

std::optional<std::uint64_t> RpcFields::milliseconds(std::string_view name,
                                                     const json::value& value) {
  const std::optional<std::uint64_t> number = unsigned_of(value);
  if (!number) {
    expect(name, "integer timestamp (in milliseconds)");
  } else if (*number < kMillisecondsMin) {
    refuse("Invalid timestamp for '" + std::string(name) + "': timestamp must be in milliseconds");
  }
  return number;
}

std::optional<std::uint64_t> RpcFields::timestamp(std::string_view name) {
  const json::value* value = find(name);
  return value == nullptr ? std::nullopt : milliseconds(name, *value);
}

std::optional<std::uint64_t> RpcFields::loose_number(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const std::optional<std::uint64_t> number = unsigned_of(*value)) {
    return number;
  }
  if (const auto* string = value->if_string(); string != nullptr && format_ == Format::json) {
    std::uint64_t number = 0;
    const char* last = string->data() + string->size();
    const auto [stop, error] = std::from_chars(string->data(), last, number);
    if (error == std::errc{} && stop == last &&
        number <= std::numeric_limits<std::int64_t>::max()) {
      return number;
    }
  }
  expect(name, "positive integer");
  return std::nullopt;
}

std::optional<Namespace> RpcFields::space_of(std::string_view name, std::int64_t number) {
  if (number < std::numeric_limits<Namespace>::min() ||
      number > std::numeric_limits<Namespace>::max()) {
    refuse("Invalid value given for '" + std::string(name) + "': value out of range");
    return std::nullopt;
  }
  return static_cast<Namespace>(number);
}

std::optional<Namespace> RpcFields::space(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto number = integer_of(*value)) {
    return space_of(name, *number);
  }
  expect(name, "16-bit integer");
  return std::nullopt;
}

Spaces RpcFields::spaces(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) {
    return Namespace{0};
  }
  if (const auto number = integer_of(*value)) {
    return space_of(name, *number);
  }
  if (const auto* string = value->if_string(); string == nullptr || *string != "all") {
    expect(name, "integer or \"all\"");
  }
  return std::nullopt;
}

std::vector<std::string> RpcFields::texts(std::string_view name) {
  const json::value* value = find(name);
  std::vector<std::string> found;
  if (value == nullptr) {
    return found;
  }
  if (const auto* string = value->if_string()) {
    found.emplace_back(string->data(), string->size());
    return found;
  }
  const auto* array = value->if_array();
  if (array == nullptr) {
    expect(name, "string array");
    return found;
  }
  for (const json::value& element : *array) {
    if (const auto* string = element.if_string()) {
      found.emplace_back(string->data(), string->size());
    } else {
      expect(name, "string array");
    }
  }
  return found;
}

std::vector<std::uint64_t> RpcFields::timestamps(std::string_view name) {
  const json::value* value = find(name);
  std::vector<std::uint64_t> found;
  if (value == nullptr) {
    return found;
  }
  const auto* array = value->if_array();
  const auto add = [&](const json::value& element) {
    const std::optional<std::uint64_t> number = unsigned_of(element);
    if (!number) {
      expect(name, "timestamp array");
    }
    found.push_back(number.value_or(0));
  };
  if (array == nullptr) {
    add(*value);
    return found;
  }
  for (const json::value& element : *array) {
    add(element);
  }
  return found;
}

std::vector<std::int64_t> RpcFields::integers(std::string_view name) {
  const json::value* value = find(name);
  std::vector<std::int64_t> found;
  if (value == nullptr) {
    return found;
  }
  const auto add = [&](const json::value& element) {
    if (const auto number = integer_of(element)) {
      found.push_back(*number);
    } else {
      expect(name, "integer array");
    }
  };
  if (const auto* array = value->if_array()) {
    for (const json::value& element : *array) {
      add(element);
    }
  } else {
    add(*value);
  }
  return found;
}

std::optional<std::string> RpcFields::data(std::string_view name) {
  const std::optional<std::string_view> given = text(name);
  if (!given) {
    return std::nullopt;
  }
  constexpr std::size_t kBytesMax = storage::kDataBytesMax;
  const std::size_t size_max = format_ == Format::bt ? kBytesMax : kBytesMax / 3 * 4;
  static_assert(kBytesMax % 3 == 0, "the longest message has no base64 padding");
  if (given->size() > size_max) {
    refuse("Message body exceeds maximum allowed length of " + std::to_string(kBytesMax) +
           " bytes");
    return std::nullopt;
  }
  if (format_ == Format::bt) {
    return std::string(*given);
  }
  std::optional<std::string> bytes = from_base64(*given);
  if (!bytes) {
    refuse("Invalid '" + std::string(name) + "' value: not base64 encoded");
  }
  return bytes;
}

Account RpcFields::account(bool or_alias) {
  std::optional<std::string_view> given = text("pubkey");
  if (or_alias && has("pubKey")) {
    if (given) {
      refuse("Cannot specify both 'pubkey' and 'pubKey'");
    }
    given = text("pubKey");
  }
  if (!given) {
    refuse("Required field 'pubkey' missing");
    return {};
  }
  std::optional<Account> account;
  if (format_ == Format::bt && given->size() == std::tuple_size_v<Account>) {
    account = array_of<33>(*given);
  } else if (const auto bytes = from_hex(*given)) {
    account = array_of<33>(*bytes);
  }
  if (!account) {
    refuse("Pubkey must be 66 hex digits (33 bytes) long");
  }
  return account.value_or(Account{});
}

std::optional<Signature> RpcFields::signature_of(std::string_view text) const {
  if (format_ == Format::bt) {
    return array_of<64>(text);
  }
  const std::optional<std::string> bytes = signature_bytes(text);
  return bytes ? array_of<64>(*bytes) : std::nullopt;
}

void RpcFields::load_ed25519(Authentication& who) {
  const std::optional<std::string_view> given = text("pubkey_ed25519");
  if (!given) {
    return;
  }
  if (who.account[0] != kSessionPrefix) {
    refuse("pubkey_ed25519 is only permitted for 05[...] pubkeys");
    return;
  }
  if (given->size() == 64) {
    const std::optional<std::string> bytes = from_hex(*given);
    who.ed25519 = bytes ? array_of<32>(*bytes) : std::nullopt;
    if (!who.ed25519) {
      refuse("invalid pubkey_ed25519: value is not hex");
    }
    return;
  }
  who.ed25519 = array_of<32>(*given);
  if (!who.ed25519) {
    refuse("Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey");
  }
}

std::optional<Token> RpcFields::token_of(std::string_view text) const {
  if (format_ == Format::bt) {
    return array_of<36>(text);
  }
  std::optional<std::string> bytes;
  if (text.size() == 48) {
    bytes = from_base64(text);
  } else if (text.size() == 72) {
    bytes = from_hex(text);
  }
  return bytes ? array_of<36>(*bytes) : std::nullopt;
}

void RpcFields::load_subaccount(Authentication& who) {
  const std::optional<std::string_view> token = text("subaccount");
  if (!token || token->empty()) {
    return;
  }
  const std::optional<std::string_view> signature = text("subaccount_sig");
  if (!signature) {
    refuse("invalid subaccount: subaccount_sig is required when using subaccount");
    return;
  }
  const std::optional<Token> token_bytes = token_of(*token);
  const std::optional<Signature> signature_bytes = signature_of(*signature);
  if (!token_bytes) {
    refuse(format_ == Format::bt
               ? "invalid subaccount token: invalid token length"
               : "invalid subaccount: expected base64 or hex-encoded subaccount token");
  }
  if (!signature_bytes) {
    refuse(format_ == Format::bt
               ? "invalid signature: expected 64-byte Ed25519 signature"
               : "invalid subaccount signature: expected base64 encoded Ed25519 signature");
  }
  if (token_bytes && signature_bytes) {
    who.subaccount = Subaccount{*token_bytes, *signature_bytes};
  }
}

Authentication RpcFields::authentication(bool or_alias) {
  Authentication who;
  who.account = account(or_alias);
  const std::optional<std::string_view> signature = text("signature");
  if (!signature) {
    refuse("Required field 'signature' missing");
    return who;
  }
  load_ed25519(who);
  who.signature = signature_of(*signature);
  if (!who.signature) {
    refuse(format_ == Format::bt ? "invalid signature: expected 64-byte Ed25519 signature"
                                 : "invalid signature: expected base64 encoded Ed25519 signature");
  }
  load_subaccount(who);
  return who;
}

std::vector<Token> RpcFields::tokens(std::string_view name, std::size_t count_max) {
  if (!has(name)) {
    refuse("Required field '" + std::string(name) + "' missing");
  }
  const std::vector<std::string> given = texts(name);
  if (given.size() > count_max) {
    refuse("invalid " + std::string(name) + ": cannot " + std::string(name) + " more than " +
           std::to_string(count_max) + " subaccounts at once");
    return {};
  }
  std::vector<Token> found;
  for (const std::string& text : given) {
    const std::optional<Token> token = token_of(text);
    if (!token) {
      refuse("invalid " + std::string(name) +
             (format_ == Format::bt ? " subaccount: invalid subaccount tag length"
                                    : ": expected base64 or hex-encoded subaccount tag"));
      return {};
    }
    found.push_back(*token);
  }
  return found;
}

std::vector<std::string> RpcFields::message_hashes() {
  if (!has("messages")) {
    refuse("Required field 'messages' missing");
    return {};
  }
  std::vector<std::string> hashes = texts("messages");
  if (hashes.empty()) {
    refuse("messages does not contain any message hashes");
  }
  if (hashes.size() > kHashesMax) {
    refuse("messages contains more than " + std::to_string(kHashesMax) + " message hashes");
    return {};
  }
  for (const std::string& hash : hashes) {
    if (hash.size() != kMessageHashChars || !from_base64(hash)) {
      refuse("invalid message hash: " + std::string(beginning_of(hash, storage::kHashCharsMax)));
    }
  }
  return hashes;
}

}  // namespace allium::control
