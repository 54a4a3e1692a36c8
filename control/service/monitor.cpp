// SPDX-License-Identifier: Apache-2.0
#include "control/service/monitor.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>

#include "control/service/authentication.hpp"
#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/json_fields.hpp"
#include "control/service/internal/rpc_call.hpp"

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
  too_much = 7,  ///< of ours: later it may do
};

/// Between other work; a few milliseconds.
constexpr std::size_t kForgottenAtOnce = 5'000;
constexpr std::size_t kExpiredAtOnce = 20'000;

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
  if (list == nullptr || list->size() > kNamespacesMax) {
    return std::nullopt;
  }
  for (const json::value& element : *list) {
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

void Monitor::subscribe(std::string request, const Subscriber& who, std::uint64_t now_ms,
                        const Answered& answered) {
  const bool is_dict = request.starts_with('d');
  auto list = is_dict ? Result<std::vector<std::string_view>>(std::vector<std::string_view>(1))
                      : split_bt_list(request, kMonitorRequestsMax);
  const bool is_list_of_dicts =
      list && (is_dict || std::all_of(list->begin(), list->end(), [](std::string_view element) {
                 return element.starts_with('d');
               }));
  if (!list && list.error().code == Errc::full) {
    answered(serialise_bt(
        error_object(MonitorError::bad_arguments,
                     "more than " + std::to_string(kMonitorRequestsMax) +
                         " accounts in one message: ask for the others in further messages")));
    return;
  }
  if (!is_list_of_dicts) {
    answered(serialise_bt(
        error_object(MonitorError::bad_arguments, "expected a bt dict, or a list of dicts")));
    return;
  }
  if ((list->size() > kMonitorSliceMax && !may_queue(who)) ||
      (!list->empty() && !around_.may_ask(who, list->size()))) {
    answered(serialise_bt(error_object(MonitorError::too_much, "too many requests, try later")));
    return;
  }
  if (is_dict) {
    answered(subscribe_dict(request, who, now_ms, true));
    return;
  }
  // The elements point into the text, which must not move any more.
  auto batch = std::make_unique<Batch>();
  batch->text = std::move(request);
  batch->requests = split_bt_list(batch->text, kMonitorRequestsMax).value();
  batch->who = who;
  batch->now_ms = now_ms;
  batch->answer = "l";
  batch->answered = answered;
  if (!answer_slice(*batch)) {
    batches_.push_back(std::move(batch));
    work_later();
  }
}

bool Monitor::may_queue(const Subscriber& who) const {
  const auto mine = std::count_if(batches_.begin(), batches_.end(), [&who](const auto& batch) {
    return batch->who.address == who.address;
  });
  return batches_.size() < kMonitorQueueMax &&
         static_cast<std::size_t>(mine) < kMonitorQueuePerAddressMax;
}

std::string Monitor::subscribe_dict(std::string_view request, const Subscriber& who,
                                    std::uint64_t now_ms, bool may_tell_swarm) {
  const Result<json::value> parsed = parse_bt(request);
  const auto* dict = parsed ? parsed->if_object() : nullptr;
  return serialise_bt(dict == nullptr
                          ? error_object(MonitorError::bad_arguments, "expected a bt dict")
                          : subscribe_one(*dict, who, now_ms, may_tell_swarm));
}

bool Monitor::answer_slice(Batch& batch) {
  const std::size_t end = std::min(batch.done + kMonitorSliceMax, batch.requests.size());
  for (; batch.done < end; ++batch.done) {
    batch.answer += subscribe_dict(batch.requests[batch.done], batch.who, batch.now_ms,
                                   batch.answer.size() < kMonitorSwarmsBytesMax);
  }
  if (batch.done < batch.requests.size()) {
    return false;
  }
  batch.answer += 'e';
  batch.answered(std::move(batch.answer));
  return true;
}

json::object Monitor::subscribe_one(const json::object& request, const Subscriber& subscriber,
                                    std::uint64_t now_ms, bool may_tell_swarm) {
  std::optional<Authentication> who = account_in(request);
  if (!who) {
    return error_object(MonitorError::bad_account,
                        "expected P, an Ed25519 key, or p, an account that is not 05");
  }
  const std::optional<std::vector<Namespace>> spaces = spaces_in(request);
  if (!spaces) {
    return error_object(MonitorError::bad_namespaces,
                        "expected n, at most 64 namespaces sorted, each once");
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
  const Result<std::vector<Token>> revoked = around_.store.revoked(who->account);
  if (!revoked || !holds(*who, text, Access::read, *revoked)) {
    return error_object(MonitorError::bad_signature, "signature verification failed");
  }
  if (!around_.membership.is_ours(who->account)) {
    return wrong_swarm(who->account, may_tell_swarm);
  }
  const Right right = who->subaccount ? Right(who->subaccount->token) : std::nullopt;
  if (!keep(who->account, right, subscriber, {*spaces, wants_data, now_ms + kSubscriptionMs})) {
    return error_object(MonitorError::too_much, "too many subscriptions, try later");
  }
  return {{"success", 1}};
}

json::object Monitor::wrong_swarm(const storage::Account& account, bool may_tell_swarm) const {
  json::object answer = error_object(MonitorError::wrong_swarm, "the account is of another swarm");
  const std::optional<SwarmId> swarm = around_.membership.swarm_of(account);
  if (may_tell_swarm && swarm) {
    for (auto& [name, value] : internal::swarm_body(around_.membership, *swarm)) {
      answer[name] = std::move(value);
    }
  }
  return answer;
}

bool Monitor::keep(const storage::Account& account, const Right& right, const Subscriber& who,
                   Subscription subscription) {
  const auto known = by_account_.find(account);
  if (known != by_account_.end()) {
    const auto mine = known->second.find({who.connection, right});
    if (mine != known->second.end()) {
      const std::uint64_t now_ms = subscription.until_ms - kSubscriptionMs;
      if (mine->second.until_ms > now_ms) {
        return merge(mine->second, subscription);
      }
      mine->second = std::move(subscription);
      return true;
    }
  }
  const auto of_address = per_address_.find(who.address);
  if (count_ >= kSubscriptionsMax ||
      (of_address != per_address_.end() && of_address->second >= kSubscriptionsPerAddressMax)) {
    return false;
  }
  const auto entry = by_account_.try_emplace(account).first;
  entry->second.emplace(std::pair(who.connection, right), std::move(subscription));
  Connection& connection = connections_[who.connection];
  connection.address = who.address;
  connection.accounts.insert(&*entry);
  ++per_address_[who.address];
  ++count_;
  return true;
}

/// False: they are too many.
bool Monitor::merge(Subscription& known, const Subscription& more) {
  std::vector<Namespace> spaces;
  std::set_union(known.spaces.begin(), known.spaces.end(), more.spaces.begin(), more.spaces.end(),
                 std::back_inserter(spaces));
  if (spaces.size() > kNamespacesMax) {
    return false;
  }
  known.spaces = std::move(spaces);
  known.wants_data = known.wants_data || more.wants_data;
  known.until_ms = std::max(known.until_ms, more.until_ms);
  return true;
}

void Monitor::on_stored(const storage::Account& account, const storage::Message& message,
                        std::uint64_t now_ms) {
  const auto found = by_account_.find(account);
  if (found == by_account_.end()) {
    return;
  }
  std::optional<Result<std::vector<storage::Token>>> revoked;  // read once, where it counts
  const auto may_know = [&](const Right& right) {
    if (!right) {
      return true;
    }
    if (!revoked) {
      revoked = around_.store.revoked(account);
    }
    return revoked->has_value() &&
           std::find((*revoked)->begin(), (*revoked)->end(), *right) == (*revoked)->end();
  };
  std::map<ConnectionNumber, bool> wants_data;  // of those to be told
  for (const auto& [key, subscription] : found->second) {
    const bool is_wanted =
        subscription.until_ms > now_ms &&
        std::binary_search(subscription.spaces.begin(), subscription.spaces.end(), message.space);
    if (is_wanted && may_know(key.second)) {
      bool& with_data = wants_data[key.first];
      with_data = with_data || subscription.wants_data;
    }
  }
  for (const auto& [connection, with_data] : wants_data) {
    around_.push(connection, notification(account, message, with_data));
  }
}

void Monitor::connection_closed(ConnectionNumber connection) {
  std::erase_if(batches_,
                [connection](const auto& batch) { return batch->who.connection == connection; });
  if (connections_.contains(connection)) {
    leaving_.push_back(connection);
    work_later();
  }
}

void Monitor::work_later() {
  if (std::exchange(is_work_posted_, true)) {
    return;
  }
  around_.post([this, alive = std::weak_ptr<bool>(is_alive_)] {
    if (!alive.expired()) {
      is_work_posted_ = false;
      work();
    }
  });
}

void Monitor::work() {
  if (!leaving_.empty()) {
    forget_slice(leaving_.front());
    if (!connections_.contains(leaving_.front())) {
      leaving_.pop_front();
    }
  }
  if (!batches_.empty()) {
    // Taken out: the answer may come back here. And to the end of the line, so that all go on.
    std::unique_ptr<Batch> batch = std::move(batches_.front());
    batches_.pop_front();
    if (!answer_slice(*batch)) {
      batches_.push_back(std::move(batch));
    }
  }
  if (!leaving_.empty() || !batches_.empty()) {
    work_later();
  }
}

void Monitor::forget_slice(ConnectionNumber leaving) {
  for (std::size_t i = 0; i < kForgottenAtOnce; ++i) {
    const auto connection = connections_.find(leaving);
    if (connection == connections_.end()) {
      return;
    }
    const auto account = by_account_.find((*connection->second.accounts.begin())->first);
    static_cast<void>(forget(account, account->second.lower_bound({leaving, std::nullopt})));
    if (account->second.empty()) {
      by_account_.erase(account);
    }
  }
}

Monitor::OfAccount::iterator Monitor::forget(Accounts::iterator account, OfAccount::iterator one) {
  const ConnectionNumber number = one->first.first;
  const auto connection = connections_.find(number);
  const auto next = account->second.erase(one);
  --count_;
  if (const auto of_address = per_address_.find(connection->second.address);
      --of_address->second == 0) {
    per_address_.erase(of_address);
  }
  const auto another = account->second.lower_bound({number, std::nullopt});
  const bool is_last_of_connection =
      another == account->second.end() || another->first.first != number;
  if (is_last_of_connection) {
    connection->second.accounts.erase(&*account);
    if (connection->second.accounts.empty()) {
      connections_.erase(connection);
    }
  }
  return next;
}

void Monitor::expire(std::uint64_t now_ms) {
  auto it = by_account_.lower_bound(expired_to_);
  for (std::size_t i = 0; i < kExpiredAtOnce && it != by_account_.end(); ++i) {
    for (auto one = it->second.begin(); one != it->second.end();) {
      one = one->second.until_ms > now_ms ? std::next(one) : forget(it, one);
    }
    it = it->second.empty() ? by_account_.erase(it) : std::next(it);
  }
  expired_to_ = it == by_account_.end() ? storage::Account{} : it->first;
}

}  // namespace allium::control
