// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/member_entry.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <boost/json/serialize.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/namespaces.hpp"
#include "control/service/rpc_fields.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

constexpr std::size_t kSignatureBytes = 64;
/// What a hash, a number or a name takes in JSON, rounded up.
constexpr std::size_t kElementBytes = 48;
/// A refusal with the body of an answer in it. The longest that is one names the members of another swarm.
constexpr std::size_t kRefusalDictBytesMax = 16UL * 1024;

bool is_printable(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

std::string_view text_in(const json::value& value) noexcept {
  const auto* text = value.if_string();
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

bool is_number(const json::value& value) noexcept {
  return value.is_uint64() || (value.is_int64() && value.get_int64() >= 0);
}

/// bt has 0 and 1 for them.
std::optional<bool> flag_in(const json::value& value) noexcept {
  if (value == 0 || value == 1) {
    return value == 1;
  }
  return std::nullopt;
}

bool is_hash(std::string_view text) {
  return text.size() == kMessageHashChars && from_base64(text).has_value();
}

bool is_namespace(std::string_view text) noexcept {
  Namespace space = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), space);
  return error == std::errc() && end == text.data() + text.size();
}

/// A status, as a number or as a text.
bool is_status(std::string_view text) noexcept {
  return text.size() == 3 && text.front() >= '1' && text.front() <= '5' &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_reason(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMemberReasonCharsMax && is_printable(text);
}

json::object bad_response() {
  return {{"failed", true}, {"bad_peer_response", true}};
}

/// Looks at an answer, and at how large it is.
class Reader {
 public:
  [[nodiscard]] bool is_list_of_hashes(const json::value& value) {
    const auto* list = value.if_array();
    return list != nullptr && takes(list->size()) &&
           std::all_of(list->begin(), list->end(),
                       [](const json::value& one) { return is_hash(text_in(one)); });
  }

  [[nodiscard]] bool is_hashes(const json::value& value) {
    const auto* by_space = value.if_object();
    if (by_space == nullptr) {
      return is_list_of_hashes(value);
    }
    return takes(by_space->size()) &&
           std::all_of(by_space->begin(), by_space->end(), [this](const auto& one) {
             return is_namespace(one.key()) && is_list_of_hashes(one.value());
           });
  }

  [[nodiscard]] bool is_expiries(const json::value& value) {
    const auto* list = value.if_array();
    if (list == nullptr) {
      return is_number(value);
    }
    return takes(list->size()) && std::all_of(list->begin(), list->end(), is_number);
  }

  [[nodiscard]] bool is_expiry_of_hashes(const json::value& value) {
    const auto* by_hash = value.if_object();
    return by_hash != nullptr && takes(2 * by_hash->size()) &&
           std::all_of(by_hash->begin(), by_hash->end(), [](const auto& one) {
             return is_hash(one.key()) && is_number(one.value());
           });
  }

 private:
  bool takes(std::size_t elements) noexcept {
    const std::size_t room = left_bytes_ / kElementBytes;
    left_bytes_ -= std::min(elements, room) * kElementBytes;
    return elements <= room;
  }

  std::size_t left_bytes_ = kMemberEntryBytesMax;
};

using Check = bool (*)(Reader& reader, const json::value& value);

struct Field {
  std::string_view name;
  Check is_good;
  bool is_required = false;
};

bool is_hashes(Reader& reader, const json::value& value) {
  return reader.is_hashes(value);
}

bool is_list_of_hashes(Reader& reader, const json::value& value) {
  return reader.is_list_of_hashes(value);
}

struct Method {
  std::string_view name;
  std::array<Field, 3> fields;  ///< besides the signature; without a name: none
};

constexpr std::array<Method, 8> kMethods = {{
    {"store",
     {{{"hash", [](Reader&, const json::value& value) { return is_hash(text_in(value)); }, true},
       {"expiry", [](Reader&, const json::value& value) { return is_number(value); }},
       {"already", [](Reader&, const json::value& value) { return flag_in(value).has_value(); }}}}},
    {"delete", {{{"deleted", is_list_of_hashes, true}}}},
    {"delete_all", {{{"deleted", is_hashes, true}}}},
    {"delete_before", {{{"deleted", is_hashes, true}}}},
    {"expire_all", {{{"updated", is_hashes, true}}}},
    {"expire",
     {{{"updated", is_list_of_hashes, true},
       {"expiry",
        [](Reader& reader, const json::value& value) { return reader.is_expiries(value); }, true},
       {"unchanged", [](Reader& reader,
                        const json::value& value) { return reader.is_expiry_of_hashes(value); }}}}},
    {"revoke_subaccount", {}},
    {"unrevoke_subaccount",
     {{{"count", [](Reader&, const json::value& value) { return is_number(value); }}}}},
}};

/// What a member says that could not do it.
std::optional<json::object> failed_entry(const json::object& body) {
  json::object entry = {{"failed", true}};
  for (const std::string_view name : {"timeout", "query_failure", "bad_peer_response"}) {
    const auto* value = body.if_contains(name);
    const std::optional<bool> flag = value == nullptr ? false : flag_in(*value);
    if (!flag) {
      return std::nullopt;
    }
    if (*flag) {
      entry[name] = true;
    }
  }
  if (const auto* code = body.if_contains("code")) {
    const std::string text =
        is_number(*code) ? json::serialize(*code) : std::string(text_in(*code));
    if (!is_status(text)) {
      return std::nullopt;
    }
    entry["code"] = text;
  }
  if (const auto* reason = body.if_contains("reason"); reason && is_reason(text_in(*reason))) {
    entry["reason"] = text_in(*reason);
  }
  return entry;
}

std::optional<json::object> answered_entry(std::string_view method, const json::object& body,
                                           Format format) {
  if (const auto* failed = body.if_contains("failed"); failed != nullptr) {
    return flag_in(*failed) == true ? failed_entry(body) : std::nullopt;
  }
  const auto* known = std::find_if(kMethods.begin(), kMethods.end(),
                                   [method](const Method& one) { return one.name == method; });
  const auto* signature = body.if_contains("signature");
  if (known == kMethods.end() || signature == nullptr ||
      text_in(*signature).size() != kSignatureBytes) {
    return std::nullopt;
  }
  json::object entry;
  Reader reader;
  for (const Field& field : known->fields) {
    const auto* value = field.name.empty() ? nullptr : body.if_contains(field.name);
    if (value == nullptr ? field.is_required : !field.is_good(reader, *value)) {
      return std::nullopt;
    }
    if (value != nullptr) {
      entry[field.name] = *value;
    }
  }
  entry["signature"] = written(text_in(*signature), format);
  return entry;
}

/// A refusal is a status and a text, or what the body of an answer would have been.
std::optional<json::object> refused_entry(const MemberReply& reply) {
  if (!is_status(reply.code)) {
    return std::nullopt;
  }
  const bool is_dict = reply.reason.starts_with('d') && reply.reason.ends_with('e') &&
                       reply.reason.size() <= kRefusalDictBytesMax;
  const Result<json::value> dict =
      is_dict ? parse_bt(reply.reason) : Result<json::value>(json::value());
  json::object entry = {{"failed", true}};
  if (dict && dict->is_object()) {
    entry = failed_entry(dict->get_object()).value_or(std::move(entry));
  } else if (is_reason(reply.reason)) {
    entry["reason"] = reply.reason;
  }
  entry["code"] = reply.code;
  return entry;
}

}  // namespace

json::string written(std::string_view raw, Format format) {
  return format == Format::bt ? json::string(raw) : json::string(to_base64(bytes_of(raw)));
}

json::object member_entry(std::string_view method, const MemberReply& reply, Format format) {
  switch (reply.kind) {
    case MemberReply::Kind::timeout:
      return {{"failed", true}, {"timeout", true}};
    case MemberReply::Kind::refused:
      return refused_entry(reply).value_or(bad_response());
    case MemberReply::Kind::answered:
      return answered_entry(method, reply.body, format).value_or(bad_response());
    case MemberReply::Kind::malformed:
      break;
  }
  return bad_response();
}

}  // namespace allium::control::internal
