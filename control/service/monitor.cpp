// SPDX-License-Identifier: Apache-2.0
#include "control/service/monitor.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>

#include "control/service/authentication.hpp"
#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/json_fields.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

using internal::number_in;
using internal::text_in;

constexpr std::uint64_t kPastSecondsMax = std::uint64_t{14} * 86'400;
constexpr std::uint64_t kFutureSecondsMax = 86'400;

/// As clients know them.
enum class MonitorError : int {
  bad_arguments = 1,
  bad_account = 2,
  bad_namespaces = 3,
  bad_timestamp = 4,
  bad_signature = 5,
  wrong_swarm = 6,
};

json::object error_object(MonitorError error, std::string_view text) {
  return {{"errcode", static_cast<int>(error)}, {"error", text}};
}

/// `P`, the Ed25519 key of a Session account, or `p`, any account.
std::optional<Authentication> account_in(const json::object& request) {
  Authentication who;
  if (const auto ed25519 = text_in(request, "P")) {
    who.ed25519 = array_of<32>(*ed25519);
    const auto x25519 = who.ed25519 ? x25519_of(*who.ed25519) : std::nullopt;
    if (!x25519 || request.contains("p")) {
      return std::nullopt;
    }
    who.account[0] = 0x05;
    std::copy(x25519->begin(), x25519->end(), who.account.begin() + 1);
    return who;
  }
  const auto account = text_in(request, "p");
  const auto bytes = account ? array_of<33>(*account) : std::nullopt;
  if (!bytes || (*bytes)[0] == 0x05) {
    return std::nullopt;  // an X25519 key verifies nothing
  }
  who.account = *bytes;
  return who;
}

/// Sorted, each once, at least one.
std::optional<std::vector<Namespace>> spaces_in(const json::object& request) {
  const json::value* value = request.if_contains("n");
  const auto* list = value == nullptr ? nullptr : value->if_array();
  std::vector<Namespace> spaces;
  for (const json::value& element : list == nullptr ? json::array() : *list) {
    const auto* number = element.if_int64();
    const bool is_space = number != nullptr && *number >= std::numeric_limits<Namespace>::min() &&
                          *number <= std::numeric_limits<Namespace>::max() &&
                          (spaces.empty() || *number > spaces.back());
    if (!is_space) {
      return std::nullopt;
    }
    spaces.push_back(static_cast<Namespace>(*number));
  }
  return spaces.empty() ? std::nullopt : std::optional(std::move(spaces));
}

/// What was signed, after the account.
std::string signed_request(const Authentication& who, std::uint64_t signed_s, bool wants_data,
                           const std::vector<Namespace>& spaces) {
  std::string text =
      "MONITOR" + to_hex(who.account) + std::to_string(signed_s) + (wants_data ? "1" : "0");
  for (std::size_t i = 0; i < spaces.size(); ++i) {
    text += (i == 0 ? "" : ",") + std::to_string(spaces[i]);
  }
  return text;
}

/// False: a subaccount that is none.
bool load_subaccount(const json::object& request, Authentication& who) {
  const auto signature = text_in(request, "S");
  const auto token = text_in(request, "T");
  if (!signature && !token) {
    return true;
  }
  const auto signature_bytes = signature ? array_of<64>(*signature) : std::nullopt;
  const auto token_bytes = token ? array_of<36>(*token) : std::nullopt;
  if (!signature_bytes || !token_bytes) {
    return false;
  }
  who.subaccount = Subaccount{*token_bytes, *signature_bytes};
  return true;
}

std::string notification(const storage::Account& account, const storage::Message& message,
                         bool with_data) {
  json::object dict = {{"@", text_of(account)},
                       {"h", message.hash},
                       {"n", message.space},
                       {"t", message.timestamp_ms},
                       {"z", message.expiry_ms}};
  if (with_data) {
    dict["~"] = message.data;
  }
  return serialise_bt(dict);
}

}  // namespace

std::string Monitor::subscribe(std::string_view request, ConnectionNumber connection,
                               std::uint64_t now_ms) {
  const Result<json::value> parsed = parse_bt(request);
  if (parsed && parsed->is_object()) {
    return serialise_bt(subscribe_one(parsed->get_object(), connection, now_ms));
  }
  const auto* list = parsed ? parsed->if_array() : nullptr;
  const bool is_list_of_dicts =
      list != nullptr && list->size() <= kMonitorRequestsMax &&
      std::all_of(list->begin(), list->end(), [](const json::value& v) { return v.is_object(); });
  if (!is_list_of_dicts) {
    return serialise_bt(
        error_object(MonitorError::bad_arguments, "expected a bt dict, or a list of dicts"));
  }
  json::array answers;
  for (const json::value& one : *list) {
    answers.emplace_back(subscribe_one(one.get_object(), connection, now_ms));
  }
  return serialise_bt(answers);
}

json::object Monitor::subscribe_one(const json::object& request, ConnectionNumber connection,
                                    std::uint64_t now_ms) {
  std::optional<Authentication> who = account_in(request);
  if (!who) {
    return error_object(MonitorError::bad_account,
                        "expected P, an Ed25519 key, or p, an account that is not 05");
  }
  const std::optional<std::vector<Namespace>> spaces = spaces_in(request);
  if (!spaces) {
    return error_object(MonitorError::bad_namespaces, "expected n, namespaces sorted, each once");
  }
  const std::int64_t signed_s = number_in(request, "t").value_or(0);
  const std::uint64_t now_s = now_ms / 1000;
  if (signed_s <= 0 || static_cast<std::uint64_t>(signed_s) + kPastSecondsMax < now_s ||
      static_cast<std::uint64_t>(signed_s) > now_s + kFutureSecondsMax) {
    return error_object(MonitorError::bad_timestamp, "t is too far from the current time");
  }
  const auto signature = text_in(request, "s");
  who->signature = signature ? array_of<64>(*signature) : std::nullopt;
  if (!who->signature || !load_subaccount(request, *who)) {
    return error_object(MonitorError::bad_arguments, "expected s, and S with T or neither");
  }
  const bool wants_data = number_in(request, "d").value_or(0) != 0;
  const std::string text =
      signed_request(*who, static_cast<std::uint64_t>(signed_s), wants_data, *spaces);
  const Result<std::vector<Token>> revoked = store_.revoked(who->account);
  if (!revoked || !holds(*who, text, Access::read, *revoked)) {
    return error_object(MonitorError::bad_signature, "signature verification failed");
  }
  if (!membership_.is_ours(who->account)) {
    return error_object(MonitorError::wrong_swarm, "the account is of another swarm");
  }
  if (!keep(who->account, connection, {*spaces, wants_data, now_ms + kSubscriptionMs})) {
    return error_object(MonitorError::bad_arguments, "too many subscriptions");
  }
  return {{"success", 1}};
}

bool Monitor::keep(const storage::Account& account, ConnectionNumber connection,
                   Subscription subscription) {
  const auto known = by_account_.find(account);
  const bool is_new = known == by_account_.end() || !known->second.contains(connection);
  if (is_new) {
    std::size_t& of_connection = per_connection_[connection];
    if (count_ >= kSubscriptionsMax || of_connection >= kSubscriptionsPerConnectionMax) {
      return false;
    }
    ++of_connection;
    ++count_;
  }
  by_account_[account][connection] = std::move(subscription);
  return true;
}

void Monitor::on_stored(const storage::Account& account, const storage::Message& message,
                        std::uint64_t now_ms) {
  const auto found = by_account_.find(account);
  if (found == by_account_.end()) {
    return;
  }
  std::vector<ConnectionNumber> gone;
  for (const auto& [connection, subscription] : found->second) {
    const bool is_wanted =
        subscription.until_ms > now_ms &&
        std::binary_search(subscription.spaces.begin(), subscription.spaces.end(), message.space);
    if (is_wanted && !push_(connection, notification(account, message, subscription.wants_data))) {
      gone.push_back(connection);
    }
  }
  for (const ConnectionNumber connection : gone) {
    drop_connection(connection);
  }
}

void Monitor::drop_connection(ConnectionNumber connection) {
  for (auto it = by_account_.begin(); it != by_account_.end();) {
    count_ -= it->second.erase(connection);
    it = it->second.empty() ? by_account_.erase(it) : std::next(it);
  }
  per_connection_.erase(connection);
}

void Monitor::expire(std::uint64_t now_ms) {
  for (auto it = by_account_.begin(); it != by_account_.end();) {
    for (auto one = it->second.begin(); one != it->second.end();) {
      if (one->second.until_ms > now_ms) {
        ++one;
        continue;
      }
      --count_;
      if (--per_connection_[one->first] == 0) {
        per_connection_.erase(one->first);
      }
      one = it->second.erase(one);
    }
    it = it->second.empty() ? by_account_.erase(it) : std::next(it);
  }
}

}  // namespace allium::control
