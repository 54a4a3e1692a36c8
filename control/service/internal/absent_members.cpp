// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/absent_members.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/namespaces.hpp"
#include "storage/message_history.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

/// Of messages that were extended, read from the store in one go.
constexpr std::size_t kExtendedRoundBytes = 4'000'000;
/// How long a member has what has run out, if its clock is off.
constexpr std::uint64_t kKeptSurelyMs = kFreedAfterMs - 60'000;

/// When it would have ended by what had been asked for before; 0: it is not known.
std::uint64_t expiry_before(const storage::Message& message, storage::Stamp asked) {
  std::vector<storage::HistoryStep> steps;
  for (const storage::HistoryStep& step : message.life) {
    if (step.asked < asked) {
      steps.push_back(step);
    }
  }
  return storage::MessageHistory({}, std::move(steps)).expiry_ms();
}

}  // namespace

std::optional<std::vector<std::size_t>> refused_records(const PeerParts& reply, std::size_t count) {
  std::vector<std::size_t> refused;
  if (reply.size() < 2) {
    return refused;
  }
  const Result<json::value> list = reply.size() == 3 ? parse_bt(reply[2]) : json::value();
  const auto* numbers = list ? list->if_array() : nullptr;
  if (numbers == nullptr) {
    return std::nullopt;
  }
  for (const json::value& number : *numbers) {
    const auto* index = number.if_int64();
    if (index == nullptr || *index < 0 || static_cast<std::size_t>(*index) >= count) {
      return std::nullopt;
    }
    refused.push_back(static_cast<std::size_t>(*index));
  }
  std::sort(refused.begin(), refused.end());
  return refused;
}

void AbsentMembers::start() {
  const Result<std::vector<NodeKey>> peers = around_.store.peers_with_missed();
  if (peers) {
    for (const NodeKey& key : *peers) {
      if (key != kBegunQueue) {
        set_dead(key);
      }
    }
  }
  tidy_later();
  watch_later();
}

// So that also in a quiet swarm it is known who is dead, and the first command need not wait for it.
void AbsentMembers::watch_later() {
  around_.transport.after(kWatchIntervalMs, while_alive(is_alive_, [this] {
                            watch();
                            watch_later();
                          }));
}

void AbsentMembers::watch() {
  for (const NodeKey& key : around_.membership.other_members()) {
    if (!members_.contains(key)) {
      watch(key, kWatchAttempts);
    }
  }
}

// Nothing waits for it: one that is only slow is not to be taken for dead.
void AbsentMembers::watch(const NodeKey& key, int attempts) {
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr) {
    return;
  }
  auto done = [this, key, attempts](const Result<PeerParts>& pong) {
    if (pong && on_answer_) {
      on_answer_(key);
    }
    if (pong || members_.contains(key) || around_.membership.find(key) == nullptr) {
      return;
    }
    if (attempts > 1) {
      watch(key, attempts - 1);
    } else {
      set_dead(key);
    }
  };
  around_.transport.request(*node, "sn.ping", {std::string(kOurKind)}, kSwarmTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

bool AbsentMembers::is_dead(const NodeKey& key) const noexcept {
  const auto found = members_.find(key);
  return found != members_.end() && found->second.state == State::dead;
}

bool AbsentMembers::is_behind(const NodeKey& key) const noexcept {
  const auto found = members_.find(key);
  return found != members_.end() && found->second.state == State::behind;
}

void AbsentMembers::tidy_later() {
  around_.transport.after(kTidyQueuesMs, while_alive(is_alive_, [this] {
                            tidy_queues();
                            tidy_later();
                          }));
}

void AbsentMembers::tidy_queues() {
  for (const auto& [key, member] : members_) {
    if (member.state != State::alive) {
      tidy_queue(key, 0);
    }
  }
}

// What nobody has any more, expired or deleted, a member need not be handed; the command that deleted it stays.
void AbsentMembers::tidy_queue(const NodeKey& key, std::uint64_t after) {
  const Result<std::vector<storage::Missed>> page =
      around_.store.missed(key, after, kHandOverBytesMax);
  if (!page || page->empty()) {
    return;
  }
  std::vector<std::uint64_t> moot;
  for (const storage::Missed& one : *page) {
    if (is_moot(one.record)) {
      moot.push_back(one.number);
    }
  }
  counters_.moot += moot.size();
  if (!moot.empty()) {
    around_.store.erase_missed(key, std::move(moot), [](const Result<std::size_t>&) {});
  }
  around_.post(
      while_alive(is_alive_, [this, key, last = page->back().number] { tidy_queue(key, last); }));
}

bool AbsentMembers::is_moot(std::string_view text) const {
  return is_moot(text, kMootAfterMs);
}

// Not that it is not here decides: there may have been no room for it.
bool AbsentMembers::is_moot(std::string_view text, std::uint64_t expired_for_ms) const {
  const std::optional<MissedRecord> record = parse_record(text);
  if (!record) {
    return true;
  }
  const std::vector<OwnedMessage> messages = messages_of(*record);
  const std::optional<storage::Stamp> asked = asked_for(*record);
  const auto origin = asked ? storage::Origin::client : storage::Origin::replica;
  // A replica is as old as it says, by the time that it is.
  const std::uint64_t back_ms = asked ? std::min(around_.now_ms(), expired_for_ms) : 0;
  const std::uint64_t now_ms = around_.now_ms() - back_ms;
  const storage::When when(now_ms, asked.value_or(0));
  return !messages.empty() &&
         std::all_of(messages.begin(), messages.end(), [&](const OwnedMessage& one) {
           const bool replaces = is_public_outbox(one.second.space);
           // In an outbox a store says as well that what it replaces is gone.
           if (replaces && origin == storage::Origin::client) {
             return false;
           }
           const auto effect =
               around_.store.try_store(one.first, one.second, origin, replaces, when);
           // Where it would be there again, it is kept as long as it would have lived.
           if (effect && *effect == storage::StoreEffect::hidden) {
             return expired_for_ms == 0 || one.second.expiry_ms <= now_ms;
           }
           return effect && *effect != storage::StoreEffect::inserted &&
                  *effect != storage::StoreEffect::already &&
                  *effect != storage::StoreEffect::renewed;
         });
}

/// A message whose time, as it was stored, is over, and that a client has extended since: whoever takes messages alone does not hear of that,
/// and others would see it only when they do.
std::string AbsentMembers::as_it_is_now(const std::string& text) const {
  const std::optional<MissedRecord> record = parse_record(text);
  std::vector<OwnedMessage> messages = record ? messages_of(*record) : std::vector<OwnedMessage>();
  const std::uint64_t now_ms = around_.now_ms();
  bool is_extended = false;
  for (auto& [account, message] : messages) {
    if (message.expiry_ms <= now_ms) {
      const auto live = around_.store.expiries(account, {message.hash}, now_ms);
      if (live && !live->empty()) {
        message.expiry_ms = live->front().expiry_ms;
        is_extended = true;
      }
    }
  }
  return is_extended ? data_record(serialise_pushed(messages)) : text;
}

PeerParts AbsentMembers::parts_for(HandOver how, const std::vector<storage::Missed>& missed) const {
  std::vector<storage::Missed> records;
  for (const storage::Missed& one : missed) {
    if (how == HandOver::commands) {
      // As they were said: what they come to, their stamps tell, in whatever order they arrive.
      records.push_back(one);
    } else if (!is_moot(one.record, 0)) {
      // Without stamps what was deleted would come back.
      records.push_back({one.number, as_it_is_now(one.record)});
    }
  }
  return {how == HandOver::commands ? records_in(records) : messages_in(records)};
}

void AbsentMembers::queue(const NodeKey& key, std::string record, std::function<void(bool)> done) {
  std::vector<std::string> records;
  records.push_back(std::move(record));
  queue(key, std::move(records), [this, done = std::move(done)](bool is_queued) {
    counters_.lost_records += is_queued ? 0 : 1;
    done(is_queued);
  });
}

void AbsentMembers::queue(const NodeKey& key, std::vector<std::string> records,
                          std::function<void(bool)> done) {
  ++members_[key].queueing;
  // The client hears of the member's absence only when the queue is on disk.
  auto is_done = [this, key, count = records.size(), done = std::move(done)](bool is_queued) {
    counters_.queued += is_queued ? count : 0;
    queued(key);
    done(is_queued);
  };
  around_.store.enqueue_missed(
      key, std::move(records),
      [post = around_.post,
       then = while_alive(is_alive_, std::move(is_done))](const Result<std::uint64_t>& number) {
        post([then, is_queued = number.has_value()]() mutable { then(is_queued); });
      });
}

void AbsentMembers::queued(const NodeKey& key) {
  const auto found = members_.find(key);
  if (found == members_.end() || found->second.queueing == 0) {
    return;  // forgotten meanwhile
  }
  Member& member = found->second;
  const bool is_wanted = --member.queueing == 0 && std::exchange(member.is_waiting, false);
  if (is_wanted && member.state == State::behind && !member.is_busy) {
    hand_over(key);
  }
}

void AbsentMembers::set_dead(const NodeKey& key) {
  members_[key].state = State::dead;
  probe_later(key);
}

void AbsentMembers::set_behind(const NodeKey& key) {
  Member& member = members_[key];
  if (member.state == State::alive) {
    member.state = State::behind;
    probe_later(key);
  }
}

void AbsentMembers::probe_later(const NodeKey& key, std::uint64_t after_ms) {
  Member& member = members_[key];
  if (member.is_busy) {
    return;
  }
  member.is_busy = true;
  around_.transport.after(after_ms, while_alive(is_alive_, [this, key] { probe(key); }));
}

void AbsentMembers::forget(const NodeKey& key) {
  members_.erase(key);
  around_.store.drop_missed(key, std::numeric_limits<std::uint64_t>::max(),
                            [](const Result<std::size_t>&) {});
}

void AbsentMembers::probe(const NodeKey& key) {
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr) {
    // Should it come back, it comes as a new member and is given everything.
    forget(key);
    return;
  }
  auto done = [this, key](const Result<PeerParts>& pong) {
    const auto found = members_.find(key);
    if (found == members_.end()) {
      return;
    }
    Member& member = found->second;
    member.is_busy = false;
    if (!pong) {
      member.state = State::dead;
      probe_later(key);
      return;
    }
    const bool is_our_kind = pong->size() > 1 && (*pong)[1] == kOurKind;
    member.hand_over = is_our_kind ? HandOver::commands : HandOver::messages;
    member.state = State::behind;
    hand_over(key);
  };
  around_.transport.request(*node, "sn.ping", {std::string(kOurKind)}, kProbeTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

// What it refuses, a message that it has no room for perhaps, stays in its queue and does not keep back what is behind: stamps tell
// what was asked for later, so that the order is of no matter.
void AbsentMembers::hand_over(const NodeKey& key, std::uint64_t after) {
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr) {
    forget(key);
    return;
  }
  Result<std::vector<storage::Missed>> missed = around_.store.missed(key, after, kHandOverBytesMax);
  Member& member = members_[key];
  if (!missed) {
    set_dead(key);
    return;
  }
  if (missed->empty() && after != 0) {
    probe_later(key, kRefusedRetryMs);
    return;
  }
  if (missed->empty()) {
    // What is on its way into the queue is not seen there yet: alive now would be to leave it there.
    member.is_waiting = member.queueing > 0;
    if (!member.is_waiting) {
      members_.erase(key);  // alive, and nothing to say
    }
    return;
  }
  member.is_busy = true;
  Page page{after, missed->back().number, {}, {}};
  for (storage::Missed& one : *missed) {
    if (member.had.contains(one.number)) {
      page.had.push_back(one.number);
    } else {
      page.missed.push_back(std::move(one));
    }
  }
  if (page.missed.empty()) {
    handed_over(key, page, {});
    return;
  }
  PeerParts parts = parts_for(member.hand_over, page.missed);
  const bool takes_commands = member.hand_over == HandOver::commands;
  std::string command = takes_commands ? "sn.allium_late" : "sn.data";
  auto done = [this, key, page = std::move(page)](const Result<PeerParts>& reply) {
    // sn.data has an empty reply; two parts are a status and a text, a third one the records that were refused.
    std::optional<std::vector<std::size_t>> refused =
        reply ? refused_records(*reply, page.missed.size()) : std::nullopt;
    if (!reply && reply.error().code == Errc::out_of_range) {
      // It would stand in the way of all that is behind it.
      counters_.lost_records += page.missed.size();
      refused.emplace();
    }
    Member& receiver = members_[key];
    if (!refused) {
      receiver.is_busy = false;
      set_dead(key);
      return;
    }
    // Also where something else has timed out meanwhile: it answers.
    receiver.state = State::behind;
    handed_over(key, page, *refused);
  };
  around_.transport.request(*node, std::move(command), std::move(parts), kHandOverTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

// What is refused because the account is of another swarm is kept only while, as far as is known here, it is not.
bool AbsentMembers::is_for(const NodeKey& key, std::string_view text) const {
  const std::optional<MissedRecord> record = parse_record(text);
  const std::optional<storage::Account> account = record ? account_of(*record) : std::nullopt;
  const ServiceNode* node = around_.membership.find(key);
  return !account || (node != nullptr && around_.membership.swarm_of(*account) == node->swarm);
}

AbsentMembers::Extended AbsentMembers::extended_in(
    const std::vector<storage::Missed>& missed) const {
  Extended extended;
  for (const storage::Missed& one : missed) {
    const std::optional<MissedRecord> record = parse_record(one.record);
    const std::optional<storage::Account> account = record ? account_of(*record) : std::nullopt;
    const storage::Stamp asked = record ? asked_for(*record).value_or(0) : 0;
    // What lived then has not been freed yet.
    if (!account || asked / storage::kStampsPerMs + kKeptSurelyMs > around_.now_ms()) {
      continue;
    }
    for (std::string& hash : extended_hashes(*record)) {
      storage::Stamp& first = extended[*account].try_emplace(std::move(hash), asked).first->second;
      first = std::min(first, asked);
    }
  }
  return extended;
}

// Who was away may have freed a message that had run out, before it hears that it was extended. It is given it anew, by its queue.
void AbsentMembers::queue_extended(const NodeKey& key, const std::shared_ptr<Extended>& extended,
                                   const std::optional<storage::MessageId>& after,
                                   const std::function<void(bool)>& done) {
  if (extended->empty()) {
    done(true);
    return;
  }
  const storage::Account account = extended->begin()->first;
  const auto& hashes = extended->begin()->second;
  const std::uint64_t now_ms = around_.now_ms();
  std::vector<OwnedMessage> messages;
  storage::MessageId last;
  std::size_t bytes = 0;
  bool is_over = true;
  const auto visit = [&](const storage::Account& of, const storage::Message& message) {
    if (bytes > kExtendedRoundBytes) {
      is_over = false;
      return false;
    }
    last = {of, message.hash};
    bytes += message.data.size() + storage::kMessageOverheadBytes;
    const auto found = of == account ? hashes.find(message.hash) : hashes.end();
    if (found != hashes.end() && expiry_before(message, found->second) + kKeptSurelyMs <= now_ms) {
      messages.emplace_back(of, message);
    }
    return true;
  };
  const std::uint64_t point = storage::point_of(account);
  if (!around_.store.for_each({point, point, after}, now_ms, visit)) {
    done(false);
    return;
  }
  std::optional<storage::MessageId> next;
  if (is_over) {
    extended->erase(extended->begin());
  } else {
    next = last;
  }
  std::vector<std::string> records;
  for (const std::string& payload : payloads_of(messages)) {
    records.push_back(data_record(payload));
  }
  auto again = while_alive(
      is_alive_, [this, key, extended, next, done, count = records.size()](bool is_queued) {
        if (!is_queued) {
          done(false);
          return;
        }
        counters_.queued += count;
        queue_extended(key, extended, next, done);
      });
  if (records.empty()) {
    around_.post([again]() mutable { again(true); });
    return;
  }
  around_.store.enqueue_missed(
      key, std::move(records), [post = around_.post, again](const Result<std::uint64_t>& number) {
        post([again, is_queued = number.has_value()]() mutable { again(is_queued); });
      });
}

void AbsentMembers::handed_over(const NodeKey& key, const Page& page,
                                const std::vector<std::size_t>& refused) {
  std::vector<std::uint64_t> taken = page.had;
  std::vector<storage::Missed> records;
  for (std::size_t i = 0; i < page.missed.size(); ++i) {
    const bool is_refused = std::binary_search(refused.begin(), refused.end(), i);
    if (!is_refused || !is_for(key, page.missed[i].record)) {
      taken.push_back(page.missed[i].number);
      records.push_back(page.missed[i]);
    }
  }
  counters_.handed_over += records.size();
  const std::uint64_t next = page.after == 0 && refused.empty() ? 0 : page.last;
  auto done = [this, key, next, last = page.last, taken = std::move(taken)](bool is_queued) {
    if (is_queued) {
      erase(key, taken, next, last);
      return;
    }
    members_[key].is_busy = false;
    hand_over(key, last);  // it takes them once more
  };
  queue_extended(key, std::make_shared<Extended>(extended_in(records)), {}, std::move(done));
}

// Where the disk does not let go of them, the member is not given them again, and gets what is behind them.
void AbsentMembers::erase(const NodeKey& key, std::vector<std::uint64_t> numbers,
                          std::uint64_t next, std::uint64_t last) {
  auto done = while_alive(is_alive_, [this, key, numbers, next, last](bool is_erased) {
    Member& member = members_[key];
    member.is_busy = false;
    for (const std::uint64_t number : numbers) {
      if (is_erased) {
        member.had.erase(number);
      } else {
        member.had.insert(number);
      }
    }
    hand_over(key, is_erased ? next : last);
  });
  around_.store.erase_missed(
      key, std::move(numbers),
      [post = around_.post, done = std::move(done)](const Result<std::size_t>& erased) {
        post([done, is_erased = erased.has_value()]() mutable { done(is_erased); });
      });
}

}  // namespace allium::control::internal
