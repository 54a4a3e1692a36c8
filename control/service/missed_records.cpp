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
constexpr char kReplicaVersion = 2;
/// Between the clocks of members, and what a client's may be ahead.
constexpr std::uint64_t kClockSkewMs = 60'000;

json::array pushed_entry(const storage::Account& account, const storage::Message& message) {
  return {text_of(account),  message.hash, message.timestamp_ms,
          message.expiry_ms, message.data, message.space};
}

json::array life_entry(const std::vector<storage::HistoryStep>& life) {
  json::array steps;
  for (const storage::HistoryStep& step : life) {
    steps.emplace_back(
        json::array{step.asked, step.expiry_ms, static_cast<int>(step.kind), step.timestamp_ms});
  }
  return steps;
}

std::optional<std::string_view> text_at(const json::array& entry, std::size_t i) {
  const auto* text = i < entry.size() ? entry[i].if_string() : nullptr;
  return text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
}

std::optional<std::int64_t> number_at(const json::array& entry, std::size_t i) {
  const auto* number = i < entry.size() ? entry[i].if_int64() : nullptr;
  return number == nullptr ? std::nullopt : std::optional(*number);
}

std::optional<storage::HistoryStep> step_of(const json::value& value) {
  const auto* entry = value.if_array();
  if (entry == nullptr || entry->size() != 4) {
    return std::nullopt;
  }
  const auto asked = number_at(*entry, 0);
  const auto expiry = number_at(*entry, 1);
  const auto kind = number_at(*entry, 2);
  const auto timestamp = number_at(*entry, 3);
  // Nobody's word but a client's is taken for a removal.
  const bool is_good = asked && *asked > 0 && expiry && *expiry >= 0 && kind && *kind >= 0 &&
                       *kind <= static_cast<int>(storage::HistoryStep::Kind::store) && timestamp &&
                       *timestamp >= 0;
  if (!is_good) {
    return std::nullopt;
  }
  return storage::HistoryStep{
      static_cast<storage::Stamp>(*asked), static_cast<std::uint64_t>(*expiry),
      static_cast<storage::HistoryStep::Kind>(*kind), static_cast<std::uint64_t>(*timestamp)};
}

/// A store, and what was asked for after it; nullopt: not that.
std::optional<std::vector<storage::HistoryStep>> life_of(const json::value& value) {
  const auto* entries = value.if_array();
  if (entries == nullptr || entries->size() > storage::kLifeStepsMax) {
    return std::nullopt;
  }
  std::vector<storage::HistoryStep> life;
  for (const json::value& entry : *entries) {
    const auto step = step_of(entry);
    const bool is_in_order = step && (life.empty() ? step->kind == storage::HistoryStep::Kind::store
                                                   : step->asked >= life.back().asked);
    if (!is_in_order) {
      return std::nullopt;
    }
    life.push_back(*step);
  }
  return life;
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
  if (entry->size() > 6) {
    auto life = life_of((*entry)[6]);
    if (!life) {
      return std::nullopt;
    }
    message.life = *std::move(life);
  }
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

std::string serialise_replicas(const std::vector<OwnedMessage>& messages) {
  json::array entries;
  for (const auto& [account, message] : messages) {
    entries.emplace_back(pushed_entry(account, message));
    entries.back().get_array().emplace_back(life_entry(message.life));
  }
  return kReplicaVersion + serialise_bt(entries);
}

Result<std::vector<OwnedMessage>> parse_pushed(std::string_view payload) {
  if (payload.empty() || (payload.front() != kPushVersion && payload.front() != kReplicaVersion)) {
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
  const bool is_life_possible =
      std::all_of(message.life.begin(), message.life.end(), [&](const storage::HistoryStep& step) {
        return step.asked <= storage::stamp_of(now_ms + kClockSkewMs) &&
               step.expiry_ms <= now_ms + storage::kLifeMsMax + kClockSkewMs;
      });
  return is_life_possible && message.timestamp_ms <= now_ms + kClockSkewMs &&
         message.expiry_ms <= now_ms + storage::kLifeMsMax + kClockSkewMs &&
         message.hash == internal::message_hash(account, message.space, message.data);
}

std::vector<std::string> payloads_of(const std::vector<OwnedMessage>& messages) {
  std::vector<std::string> payloads;
  std::vector<OwnedMessage> some;
  std::size_t bytes = 0;
  for (const auto& one : messages) {
    if (bytes + one.second.data.size() > kPushedBytesMax && !some.empty()) {
      payloads.push_back(serialise_replicas(some));
      some.clear();
      bytes = 0;
    }
    bytes += one.second.data.size() + storage::kMessageOverheadBytes;
    some.push_back(one);
  }
  if (!some.empty()) {
    payloads.push_back(serialise_replicas(some));
  }
  return payloads;
}

std::string command_record(const SwarmCommand& command) {
  return serialise_bt(json::object{{"m", command.method}, {"p", command.params}});
}

std::string passed_on_record(const SwarmCommand& command) {
  return serialise_bt(json::object{{"m", command.method}, {"p", command.params}, {"x", 1}});
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
  return MissedRecord{{field("m"), field("p")}, field("d"), dict->contains("x")};
}

std::optional<storage::Stamp> asked_for(const MissedRecord& record) {
  const Result<json::value> params = parse_bt(record.command.params);
  const auto* dict = params ? params->if_object() : nullptr;
  return dict == nullptr ? std::nullopt : internal::stamp_in(*dict);
}

std::optional<storage::Account> account_of(const MissedRecord& record) {
  const Result<json::value> params = parse_bt(record.command.params);
  const auto* dict = params ? params->if_object() : nullptr;
  const auto key = dict == nullptr ? std::nullopt : internal::text_in(*dict, "pubkey");
  return key ? array_of<33>(*key) : std::nullopt;
}

std::vector<storage::Hash> extended_hashes(const MissedRecord& record) {
  std::vector<storage::Hash> hashes;
  const Result<json::value> params =
      record.command.method == "expire" ? parse_bt(record.command.params) : json::value();
  const auto* dict = params ? params->if_object() : nullptr;
  const json::value* list = dict == nullptr ? nullptr : dict->if_contains("messages");
  if (list == nullptr || !list->is_array() ||
      internal::number_in(*dict, "shorten").value_or(0) != 0) {
    return hashes;
  }
  for (const json::value& hash : list->get_array()) {
    if (hash.is_string()) {
      hashes.emplace_back(hash.get_string());
    }
  }
  return hashes;
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
