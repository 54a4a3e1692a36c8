// SPDX-License-Identifier: Apache-2.0
#include "control/service/missed_records.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/json_fields.hpp"
#include "control/service/internal/message_hash.hpp"
#include "control/service/internal/stamp_clock.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

constexpr char kPushVersion = 1;
/// Between the clocks of members, and what a client's may be ahead.
constexpr std::uint64_t kClockSkewMs = 60'000;

json::array pushed_entry(const storage::Account& account, const storage::Message& message) {
  return {text_of(account),  message.hash, message.timestamp_ms,
          message.expiry_ms, message.data, message.space};
}

std::optional<std::string_view> text_at(const json::array& entry, std::size_t i) {
  const auto* text = i < entry.size() ? entry[i].if_string() : nullptr;
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

std::optional<std::int64_t> number_at(const json::array& entry, std::size_t i) {
  const auto* number = i < entry.size() ? entry[i].if_int64() : nullptr;
  return number == nullptr ? std::nullopt : std::optional(*number);
}

std::optional<OwnedMessage> owned_message(const json::value& value) {
  const auto* entry = value.if_array();
  if (entry == nullptr) {
    return std::nullopt;
  }
  const auto key = text_at(*entry, 0);
  const auto account = key ? array_of<33>(*key) : std::nullopt;
  const auto hash = text_at(*entry, 1);
  const auto timestamp = number_at(*entry, 2);
  const auto expiry = number_at(*entry, 3);
  const auto data = text_at(*entry, 4);
  const std::int64_t space = number_at(*entry, 5).value_or(0);
  const bool is_good = account && hash && !hash->empty() &&
                       hash->size() <= storage::kHashCharsMax && timestamp && *timestamp >= 0 &&
                       expiry && *expiry >= 0 && data && data->size() <= storage::kDataBytesMax &&
                       space >= std::numeric_limits<storage::Namespace>::min() &&
                       space <= std::numeric_limits<storage::Namespace>::max();
  if (!is_good) {
    return std::nullopt;
  }
  storage::Message message;
  message.hash = *hash;
  message.space = static_cast<storage::Namespace>(space);
  message.timestamp_ms = static_cast<std::uint64_t>(*timestamp);
  message.expiry_ms = static_cast<std::uint64_t>(*expiry);
  message.data = *data;
  return OwnedMessage(*account, std::move(message));
}

/// The message of a forwarded store.
std::optional<OwnedMessage> stored_message(std::string_view params) {
  const Result<json::value> value = parse_bt(params);
  const auto* dict = value ? value->if_object() : nullptr;
  if (dict == nullptr) {
    return std::nullopt;
  }
  const auto field = [dict](std::string_view name) {
    const json::value* found = dict->if_contains(name);
    return found == nullptr ? json::value() : *found;
  };
  json::value space = field("namespace");
  json::array entry = {field("pubkey"), "-",           field("timestamp"),
                       field("expiry"), field("data"), space.is_null() ? json::value(0) : space};
  std::optional<OwnedMessage> stored = owned_message(entry);
  if (stored) {
    stored->second.hash =
        internal::message_hash(stored->first, stored->second.space, stored->second.data);
  }
  return stored;
}

}  // namespace

std::string serialise_pushed(const std::vector<OwnedMessage>& messages) {
  json::array entries;
  for (const auto& [account, message] : messages) {
    entries.emplace_back(pushed_entry(account, message));
  }
  return kPushVersion + serialise_bt(entries);
}

Result<std::vector<OwnedMessage>> parse_pushed(std::string_view payload) {
  if (payload.empty() || payload.front() != kPushVersion) {
    return fail(Errc::malformed, "pushed messages of a version that is not known");
  }
  Result<json::value> value = parse_bt(payload.substr(1));
  const auto* entries = value ? value->if_array() : nullptr;
  if (entries == nullptr) {
    return fail(Errc::malformed, "pushed messages are a bt list");
  }
  std::vector<OwnedMessage> messages;
  for (const json::value& entry : *entries) {
    std::optional<OwnedMessage> one = owned_message(entry);
    if (!one) {
      return fail(Errc::malformed, "a pushed message is not what it should be");
    }
    messages.push_back(*std::move(one));
  }
  return messages;
}

bool is_possible(const OwnedMessage& owned, std::uint64_t now_ms) {
  const auto& [account, message] = owned;
  return message.timestamp_ms <= now_ms + kClockSkewMs &&
         message.expiry_ms <= now_ms + storage::kLifeMsMax + kClockSkewMs &&
         message.hash == internal::message_hash(account, message.space, message.data);
}

std::vector<std::string> payloads_of(const std::vector<OwnedMessage>& messages) {
  std::vector<std::string> payloads;
  std::vector<OwnedMessage> some;
  std::size_t bytes = 0;
  for (const auto& one : messages) {
    if (bytes + one.second.data.size() > kPushedBytesMax && !some.empty()) {
      payloads.push_back(serialise_pushed(some));
      some.clear();
      bytes = 0;
    }
    bytes += one.second.data.size() + storage::kMessageOverheadBytes;
    some.push_back(one);
  }
  if (!some.empty()) {
    payloads.push_back(serialise_pushed(some));
  }
  return payloads;
}

std::string command_record(const SwarmCommand& command) {
  return serialise_bt(json::object{{"m", command.method}, {"p", command.params}});
}

std::string data_record(std::string_view payload) {
  return serialise_bt(json::object{{"d", payload}});
}

std::optional<MissedRecord> parse_record(std::string_view text) {
  const Result<json::value> value = parse_bt(text);
  const auto* dict = value ? value->if_object() : nullptr;
  if (dict == nullptr) {
    return std::nullopt;
  }
  const auto field = [dict](std::string_view name) {
    return std::string(internal::text_in(*dict, name).value_or(""));
  };
  return MissedRecord{{field("m"), field("p")}, field("d")};
}

std::optional<storage::Stamp> asked_for(const MissedRecord& record) {
  const Result<json::value> params = parse_bt(record.command.params);
  const auto* dict = params ? params->if_object() : nullptr;
  return dict == nullptr ? std::nullopt : internal::stamp_in(*dict);
}

std::vector<OwnedMessage> messages_of(const MissedRecord& record) {
  if (!record.payload.empty()) {
    return parse_pushed(record.payload).value_or(std::vector<OwnedMessage>());
  }
  std::vector<OwnedMessage> messages;
  if (record.command.method == "store") {
    if (std::optional<OwnedMessage> stored = stored_message(record.command.params)) {
      messages.push_back(*std::move(stored));
    }
  }
  return messages;
}

std::string records_in(const std::vector<storage::Missed>& missed) {
  json::array records;
  for (const storage::Missed& one : missed) {
    records.emplace_back(one.record);
  }
  return serialise_bt(records);
}

std::string messages_in(const std::vector<storage::Missed>& missed) {
  std::vector<OwnedMessage> messages;
  for (const storage::Missed& one : missed) {
    if (const std::optional<MissedRecord> record = parse_record(one.record)) {
      std::vector<OwnedMessage> some = messages_of(*record);
      std::move(some.begin(), some.end(), std::back_inserter(messages));
    }
  }
  return serialise_pushed(messages);
}

}  // namespace allium::control
