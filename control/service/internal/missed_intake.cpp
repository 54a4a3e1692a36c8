// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/missed_intake.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/stamp_clock.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_history.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

constexpr std::size_t kPassedOnMax = 10'000;

/// Whether a command changed what can be seen here.
bool changed_something(const Answer& answer) {
  const auto* body = answer.body.if_object();
  const auto has = [body](std::string_view name) {
    const json::value* list = body == nullptr ? nullptr : body->if_contains(name);
    return list != nullptr && ((list->is_array() && !list->get_array().empty()) ||
                               (list->is_object() && !list->get_object().empty()));
  };
  return answer.status == Status::ok && (has("deleted") || has("updated"));
}

}  // namespace

void MissedIntake::given(const NodeKey& key) {
  given_ms_[key] = around_.now_ms();
}

// Whom this node has given that message before it knew: they may have it from here alone. Whoever was given it before the command was asked
// for is told by the node that took it. Once is enough, or two that gave each other messages would pass it to and fro.
void MissedIntake::pass_on(const SwarmCommand& command) {
  const std::uint64_t now_ms = around_.now_ms();
  std::erase_if(given_ms_,
                [now_ms](const auto& one) { return one.second + kTellGivenMs < now_ms; });
  const storage::Stamp asked = asked_for({command, {}}).value_or(0);
  if (given_ms_.empty() || !passed_on_.insert(asked).second) {
    return;
  }
  passed_on_in_order_.push_back(asked);
  if (passed_on_.size() > kPassedOnMax) {
    passed_on_.erase(passed_on_in_order_.front());
    passed_on_in_order_.pop_front();
  }
  for (const auto& [key, at_ms] : given_ms_) {
    const bool is_told =
        now_ms >= views_differ_until_ms_ && at_ms + kClocksApartMs < asked / storage::kStampsPerMs;
    if (!is_told && around_.membership.find(key) != nullptr) {
      queue_.add(key, passed_on_record(command));
    }
  }
}

// Who took it may not know yet of those who are members now. What was given to them before has not got it. They believe a member: so what a
// stranger brings is passed on where its signature has held, or to those whose member this node is not.
void MissedIntake::take_command(StorageRpc& rpc, From from, std::string method, std::string params,
                                std::function<void(PeerParts)> reply) {
  std::function<void(Status)> pass = [](Status) {};
  if (around_.now_ms() < views_differ_until_ms_) {
    pass =
        while_alive(is_alive_, [this, from, command = SwarmCommand{method, params}](Status status) {
          if (from != From::stranger || status == Status::ok || status == Status::misdirected) {
            pass_on(command);
          }
        });
  }
  rpc.call_params(
      method, params, from == From::stranger ? RpcSource::stranger : RpcSource::peer,
      [pass = std::move(pass), reply = std::move(reply)](const Answer& answer, Format format) {
        pass(answer.status);
        reply(peer_reply(answer, format));
      });
}

void MissedIntake::take_late(StorageRpc& rpc, From from, std::string_view payload,
                             std::function<void(PeerParts)> reply) {
  const Result<json::value> list = parse_bt(payload);
  if (!list || !list->is_array()) {
    reply({"400", "expected a bt list of records"});
    return;
  }
  const json::array& records = list->get_array();
  auto refused = std::make_shared<json::array>();
  // One more, so that it does not end before all have begun.
  const auto one_less = after_all(records.size() + 1, [refused, reply = std::move(reply)] {
    reply(refused->empty() ? PeerParts{"OK"}
                           : PeerParts{"500", "not all could be kept", serialise_bt(*refused)});
  });
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::optional<MissedRecord> record =
        records[i].is_string() ? parse_record(std::string_view(records[i].get_string()))
                               : std::nullopt;
    const auto done = [refused, one_less, i](bool is_refused) {
      if (is_refused) {
        refused->emplace_back(i);
      }
      one_less();
    };
    if (!record) {
      done(false);
    } else if (!record->payload.empty()) {
      take_data(record->payload, [done](const PeerParts& parts) {
        done(parts.size() == 2 && parts.front() == "500");
      });
    } else {
      // Who passes it on may have had it from a stranger, and not have looked at it.
      const bool is_believed = from != From::stranger && !record->is_passed_on;
      auto passed_on =
          while_alive(is_alive_, [this, command = record->command] { pass_on(command); });
      if (on_copy_ && record->command.method == "store") {
        // It may be new here, and deleted where it was known in time.
        const std::optional<storage::Account> account = account_of(*record);
        const std::optional<storage::Stamp> asked = asked_for(*record);
        if (account && asked) {
          on_copy_(*account, *asked);
        }
      }
      rpc.call_params(
          record->command.method, record->command.params,
          is_believed ? RpcSource::late_peer : RpcSource::late_stranger,
          [done, passed_on, from, is_passed_on = record->is_passed_on](const Answer& answer,
                                                                       Format) mutable {
            // Also where it changed nothing here, for it may have been stored again since; but then it goes no further than that.
            if (changed_something(answer) || (answer.status == Status::ok && !is_passed_on)) {
              passed_on();
            }
            done(answer.status == Status::internal || answer.status == Status::not_acceptable ||
                 (answer.status == Status::misdirected && from != From::this_node));
          });
    }
  }
  one_less();
}

void MissedIntake::take_data(std::string_view payload, std::function<void(PeerParts)> reply) {
  Result<std::vector<OwnedMessage>> messages = parse_pushed(payload);
  if (!messages) {
    reply({"400", messages.error().text});
    return;
  }
  auto is_refused = std::make_shared<bool>(false);
  const auto one_less = after_all(messages->size() + 1, [is_refused, reply = std::move(reply)] {
    reply(*is_refused ? PeerParts{"500", "not all could be kept"} : PeerParts{});
  });
  const std::uint64_t now_ms = around_.now_ms();
  for (auto& owned : *messages) {
    auto& [account, message] = owned;
    const bool is_good = is_possible(owned, now_ms);
    counters_.messages_refused += is_good ? 0U : 1U;
    if (!is_good || !around_.membership.is_ours(account)) {
      one_less();
      continue;
    }
    ++counters_.messages_taken;
    const bool replaces = is_public_outbox(message.space);
    auto done = while_alive(
        is_alive_, [this, is_refused, one_less, of = account,
                    at = storage::last_stored(message, now_ms)](bool is_stored, bool is_new) {
          *is_refused |= !is_stored;
          if (is_new && on_copy_) {
            on_copy_(of, at);
          }
          one_less();
        });
    around_.store.store(
        account, std::move(message), storage::Origin::replica, replaces, now_ms,
        [post = around_.post, done = std::move(done)](const Result<storage::Stored>& stored) {
          const bool is_new = stored && stored->effect == storage::StoreEffect::inserted;
          post([done, is_stored = stored.has_value(), is_new]() mutable {
            done(is_stored, is_new);
          });
        });
  }
  one_less();
}

}  // namespace allium::control::internal
