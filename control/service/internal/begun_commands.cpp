// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/begun_commands.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "control/service/internal/callbacks.hpp"
#include "control/service/missed_records.hpp"

namespace allium::control::internal {

void BegunCommands::finish(StorageRpc& rpc) {
  rpc_ = &rpc;
  if (!open_.empty()) {
    try_later(kRefusedRetryMs);
  }
  is_finishing_ = true;
  finish_behind(0);
}

void BegunCommands::finish_later(std::uint64_t number) {
  known_.erase(number);
  finish_later();
}

void BegunCommands::finish_later() {
  if (is_finishing_ || rpc_ == nullptr) {
    is_to_finish_again_ = true;
    return;
  }
  is_finishing_ = true;
  around_.transport.after(kFinishRetryMs, while_alive(is_alive_, [this] { finish_behind(0); }));
}

void BegunCommands::finish_behind(std::uint64_t after) {
  Result<std::vector<storage::Missed>> begun =
      around_.store.missed(kBegunQueue, after, kHandOverBytesMax);
  if (!begun) {
    around_.transport.after(kFinishRetryMs,
                            while_alive(is_alive_, [this, after] { finish_behind(after); }));
    return;
  }
  if (begun->empty()) {
    is_finishing_ = false;
    // What a write that failed leaves in the log is there when the store is opened again.
    if (std::exchange(is_to_finish_again_, false) || around_.store.status().is_broken) {
      finish_later();
    }
    return;
  }
  auto page = std::make_shared<Page>();
  page->last = begun->back().number;
  std::erase_if(*begun, [this](const storage::Missed& one) { return known_.contains(one.number); });
  if (begun->empty()) {
    around_.post(while_alive(is_alive_, [this, last = page->last] { finish_behind(last); }));
    return;
  }
  // Of the accounts of one swarm, which need not be this node's any more.
  const std::optional<SwarmId> swarm = swarm_of(begun->front());
  const auto end = std::find_if(begun->begin(), begun->end(),
                                [&](const storage::Missed& one) { return swarm_of(one) != swarm; });
  if (end != begun->end()) {
    begun->erase(end, begun->end());
    page->last = begun->back().number;
  }
  page->payload = records_in(*begun);
  page->begun = *std::move(begun);
  for (const ServiceNode* member : around_.membership.nodes()->members(swarm.value_or(kNoSwarm))) {
    if (member->ed25519 != around_.membership.own()) {
      page->members.insert(member->ed25519);
    }
  }
  hand_on(page);
}

std::optional<SwarmId> BegunCommands::swarm_of(const storage::Missed& begun) const {
  const std::optional<MissedRecord> record = parse_record(begun.record);
  const std::optional<storage::Account> account = record ? account_of(*record) : std::nullopt;
  return account ? around_.membership.swarm_of(*account) : std::nullopt;
}

// Whoever has taken a page is not given it again where another one could not take it.
void BegunCommands::hand_on(const std::shared_ptr<Page>& page) {
  auto all_done = [this, page] {
    if (page->members.empty() && !page->is_for_us) {
      finished(*page);
    } else {
      around_.transport.after(kFinishRetryMs,
                              while_alive(is_alive_, [this, page] { hand_on(page); }));
    }
  };
  const std::set<NodeKey> members = page->members;
  const auto one_less = after_all(members.size() + 1, while_alive(is_alive_, std::move(all_done)));
  for (const NodeKey& key : members) {
    hand_on_to(key, *page, [page, key, one_less](bool is_done) {
      if (is_done) {
        page->members.erase(key);
      }
      one_less();
    });
  }
  if (!page->is_for_us) {
    one_less();
    return;
  }
  auto done = [page, one_less](const PeerParts& parts) {
    page->is_for_us = false;
    page->refused_here =
        refused_records(parts, page->begun.size()).value_or(std::vector<std::size_t>());
    one_less();
  };
  intake_.take_late(*rpc_, MissedIntake::From::this_node, page->payload, std::move(done));
}

void BegunCommands::hand_on_to(const NodeKey& key, const Page& page,
                               std::function<void(bool)> done) {
  std::vector<std::string> records;
  for (const storage::Missed& one : page.begun) {
    records.push_back(one.record);
  }
  auto queue = [this, key, done, records = std::move(records)] {
    absent_.set_dead(key);
    around_.store.enqueue_missed(
        key, records, [post = around_.post, done](const Result<std::uint64_t>& number) {
          post([done, is_queued = number.has_value()] { done(is_queued); });
        });
  };
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr || absent_.is_dead(key)) {
    queue();
    return;
  }
  // Most likely it is there, and need not count as dead for our own death.
  around_.transport.request(
      *node, "sn.allium_late", {page.payload}, kSwarmTimeoutMs,
      while_alive(is_alive_, [done, queue = std::move(queue)](const Result<PeerParts>& reply) {
        if (reply && reply->size() == 1) {
          done(true);
        } else {
          queue();
        }
      }));
}

void BegunCommands::finished(const Page& page) {
  std::vector<std::uint64_t> over;
  for (std::size_t i = 0; i < page.begun.size(); ++i) {
    const bool is_refused =
        std::binary_search(page.refused_here.begin(), page.refused_here.end(), i);
    if (is_refused && may_do_again()) {
      do_again(page.begun[i].number);
    } else {
      ++(is_refused ? counters_.lost_records : counters_.finished_late);
      over.push_back(page.begun[i].number);
    }
  }
  if (!over.empty()) {
    end(over);
  }
  around_.post(while_alive(is_alive_, [this, last = page.last] { finish_behind(last); }));
}

bool BegunCommands::may_do_again() const {
  const storage::StoreStatus store = around_.store.status();
  // Queues, traces and the rest of what is not messages have a sixteenth beyond the limit.
  return store.bytes_used <= store.bytes_limit + store.bytes_limit / 32;
}

void BegunCommands::do_again(std::uint64_t number) {
  known_.insert(number);
  open_.insert(number);
  try_later(kRefusedRetryMs);
}

void BegunCommands::try_later(std::uint64_t after_ms) {
  if (rpc_ != nullptr && !open_.empty() && !std::exchange(is_trying_, true)) {
    around_.transport.after(after_ms, while_alive(is_alive_, [this] {
                              is_trying_ = false;
                              try_some();
                            }));
  }
}

// In turn, so that one for which there is no room does not keep back the others.
void BegunCommands::try_some() {
  auto first = open_.upper_bound(tried_number_);
  if (first == open_.end()) {
    first = open_.begin();
  }
  if (first == open_.end()) {
    return;
  }
  Result<std::vector<storage::Missed>> some =
      around_.store.missed(kBegunQueue, *first - 1, kHandOverBytesMax);
  if (!some || some->empty()) {
    if (some) {
      open_.erase(first, open_.end());
    }
    try_later(kRefusedRetryMs);
    return;
  }
  tried_number_ = some->back().number;
  std::vector<std::uint64_t> moot;
  std::erase_if(*some, [this, &moot](const storage::Missed& one) {
    const bool is_moot = open_.contains(one.number) && absent_.is_moot(one.record);
    if (is_moot) {
      moot.push_back(one.number);
      open_.erase(one.number);
    }
    return !open_.contains(one.number);
  });
  counters_.moot += moot.size();
  if (!moot.empty()) {
    end(moot);
  }
  if (some->empty()) {
    try_later(moot.empty() ? kRefusedRetryMs : 0);
    return;
  }
  is_trying_ = true;
  const std::string payload = records_in(*some);
  intake_.take_late(*rpc_, MissedIntake::From::this_node, payload,
                    while_alive(is_alive_, [this, some = *std::move(some)](const PeerParts& reply) {
                      is_trying_ = false;
                      tried(some, reply);
                    }));
}

void BegunCommands::tried(const std::vector<storage::Missed>& some, const PeerParts& reply) {
  const std::vector<std::size_t> refused =
      refused_records(reply, some.size()).value_or(std::vector<std::size_t>());
  std::vector<std::uint64_t> taken;
  for (std::size_t i = 0; i < some.size(); ++i) {
    if (!std::binary_search(refused.begin(), refused.end(), i)) {
      taken.push_back(some[i].number);
      open_.erase(some[i].number);
    }
  }
  counters_.done_again += taken.size();
  if (!taken.empty()) {
    end(taken);
  }
  // Where there was no room for any, there is hardly some for the next.
  try_later(taken.empty() ? kRefusedRetryMs : 0);
}

void BegunCommands::begin(std::string record,
                          std::function<void(const Result<std::uint64_t>&)> then) {
  auto kept = [this, then = std::move(then)](const Result<std::uint64_t>& number) {
    begun(number);
    then(number);
  };
  around_.store.enqueue_missed(
      kBegunQueue, {std::move(record)},
      [post = around_.post,
       kept = while_alive(is_alive_, std::move(kept))](const Result<std::uint64_t>& number) {
        post([kept, number]() mutable { kept(number); });
      });
}

void BegunCommands::begun(const Result<std::uint64_t>& number) {
  if (number) {
    known_.insert(*number);
  } else if (number.error().code == Errc::io) {
    finish_later();  // it may be there all the same
  }
}

void BegunCommands::end(const std::vector<std::uint64_t>& numbers) {
  known_.insert(numbers.begin(), numbers.end());
  ended_.insert(ended_.end(), numbers.begin(), numbers.end());
  if (!std::exchange(is_forgetting_, true)) {
    around_.transport.after(kForgetIntervalMs, while_alive(is_alive_, [this] {
                              is_forgetting_ = false;
                              forget_ended();
                            }));
  }
}

// One by one: a search for the head of the queue would walk over all that was erased before and is still in memory.
void BegunCommands::forget_ended() {
  std::vector<std::uint64_t> numbers = std::exchange(ended_, {});
  auto erased = [this, numbers](bool is_erased) {
    if (is_erased) {
      for (const std::uint64_t number : numbers) {
        known_.erase(number);
      }
      return;
    }
    around_.transport.after(kFinishRetryMs,
                            while_alive(is_alive_, [this, numbers] { end(numbers); }));
  };
  around_.store.erase_missed(
      kBegunQueue, numbers,
      [post = around_.post,
       erased = while_alive(is_alive_, std::move(erased))](const Result<std::size_t>& count) {
        post([erased, is_erased = count.has_value()]() mutable { erased(is_erased); });
      });
}

}  // namespace allium::control::internal
