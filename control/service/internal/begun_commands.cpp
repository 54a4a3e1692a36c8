// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/begun_commands.hpp"

#include <utility>

#include "control/service/internal/callbacks.hpp"
#include "control/service/missed_records.hpp"

namespace allium::control::internal {

void BegunCommands::finish(StorageRpc& rpc) {
  Result<std::vector<storage::Missed>> begun =
      around_.store.missed(around_.membership.own(), 0, kHandOverBytesMax);
  if (begun && first_number_ != 0) {
    std::erase_if(*begun,
                  [this](const storage::Missed& one) { return one.number >= first_number_; });
  }
  if (!begun) {
    around_.transport.after(kFinishRetryMs, while_alive(is_alive_, [this, &rpc] { finish(rpc); }));
  } else if (!begun->empty()) {
    hand_on(rpc, *begun);
  }
}

void BegunCommands::hand_on(StorageRpc& rpc, const std::vector<storage::Missed>& begun) {
  const std::string payload = records_in(begun);
  const std::vector<NodeKey> keys = around_.membership.other_members();
  auto is_kept = std::make_shared<bool>(true);
  auto done = [this, &rpc, is_kept, last = begun.back().number, count = begun.size()] {
    if (!*is_kept) {
      around_.transport.after(kFinishRetryMs,
                              while_alive(is_alive_, [this, &rpc] { finish(rpc); }));
      return;
    }
    counters_.finished_late += count;
    around_.store.drop_missed(
        around_.membership.own(), last,
        [post = around_.post, then = while_alive(is_alive_, [this, &rpc] { finish(rpc); })](
            const Result<std::size_t>&) { post([then]() mutable { then(); }); });
  };
  const std::function<void(bool)> one_less =
      [is_kept,
       less = after_all(keys.size() + 1, while_alive(is_alive_, std::move(done)))](bool is_done) {
        *is_kept &= is_done;
        less();
      };
  for (const NodeKey& key : keys) {
    hand_on_to(key, begun, payload, one_less);
  }
  intake_.take_late(rpc, payload,
                    [one_less](const PeerParts& parts) { one_less(parts.front() != "500"); });
}

void BegunCommands::hand_on_to(const NodeKey& key, const std::vector<storage::Missed>& begun,
                               const std::string& payload, std::function<void(bool)> done) {
  std::vector<std::string> records;
  for (const storage::Missed& one : begun) {
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
      *node, "sn.allium_late", {payload}, kSwarmTimeoutMs,
      while_alive(is_alive_, [done, queue = std::move(queue)](const Result<PeerParts>& reply) {
        if (reply && reply->size() == 1) {
          done(true);
        } else {
          queue();
        }
      }));
}

void BegunCommands::begin(std::string record,
                          std::function<void(const Result<std::uint64_t>&)> then) {
  auto kept = [this, then = std::move(then)](const Result<std::uint64_t>& number) {
    begun(number);
    then(number);
  };
  around_.store.enqueue_missed(
      around_.membership.own(), {std::move(record)},
      [post = around_.post,
       kept = while_alive(is_alive_, std::move(kept))](const Result<std::uint64_t>& number) {
        post([kept, number]() mutable { kept(number); });
      });
}

void BegunCommands::begun(const Result<std::uint64_t>& number) {
  if (number) {
    first_number_ = first_number_ == 0 ? *number : first_number_;
  }
}

void BegunCommands::end(const std::vector<std::uint64_t>& numbers) {
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
  auto again = [this, numbers] {
    around_.transport.after(kFinishRetryMs,
                            while_alive(is_alive_, [this, numbers] { end(numbers); }));
  };
  around_.store.erase_missed(
      around_.membership.own(), numbers,
      [post = around_.post,
       again = while_alive(is_alive_, std::move(again))](const Result<std::size_t>& erased) {
        if (!erased) {
          post([again]() mutable { again(); });
        }
      });
}

}  // namespace allium::control::internal
