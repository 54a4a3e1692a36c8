// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was said of a message and of its expiry, in the order in which it was asked for, and what that comes to: the same in whatever
// order it arrives.
//
//   Units      Unix milliseconds, stamps (message_store.hpp).
//   Limits     kStepsMax steps. The oldest is then settled: what was asked for before it and arrives later is passed by.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <tuple>
#include <utility>
#include <vector>

#include "storage/message_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

/// A replica brings an expiry that was said at some time after the store that has its timestamp. Where that store is not known here, it
/// counts as older than whatever a client says.
inline constexpr Stamp kReplicaStamp = 1;

class MessageHistory {
 public:
  static constexpr std::size_t kStepsMax = kHistoryStepsMax;

  using Step = HistoryStep;
  using Kind = HistoryStep::Kind;

  MessageHistory() = default;

  /// `settled`: what all before came to, 0 where there was nothing; its kind tells nothing. Requires steps in order of their stamps.
  MessageHistory(Step settled, std::vector<Step> steps)
      : settled_(settled), steps_(std::move(steps)) {}

  bool operator==(const MessageHistory&) const = default;

  void add(ExpiryChange change, std::uint64_t expiry_ms, Stamp asked) {
    switch (change) {
      case ExpiryChange::set:
        return add({asked, expiry_ms, Kind::set});
      case ExpiryChange::shorten:
        return add({asked, expiry_ms, Kind::shorten});
      case ExpiryChange::extend:
        return add({asked, expiry_ms, Kind::extend});
    }
  }

  /// `up_to_ms`: a message with a later timestamp is not meant.
  void add_removal(Stamp asked, std::uint64_t up_to_ms = UINT64_MAX) {
    add({asked, 0, Kind::remove, up_to_ms});
  }

  void add_store(std::uint64_t expiry_ms, Stamp asked, std::uint64_t timestamp_ms) {
    add({asked, expiry_ms, Kind::store, timestamp_ms});
  }

  /// A removal or a shortening, unless one that says as much stands beside it, with nothing else between them: behind it, or, of a removal, before
  /// it as well (what comes between two shortenings later can be longer than both).
  void add_if_new(const Step& step) {
    const auto says_as_much = [&step](const Step& other) {
      return step.kind == Kind::remove ? other.timestamp_ms >= step.timestamp_ms
                                       : other.expiry_ms <= step.expiry_ms;
    };
    const auto is_said_in = [&](auto from, auto end) {
      const auto other = std::find_if(from, end, [&](const Step& beside) {
        return beside.kind != step.kind || says_as_much(beside);
      });
      return other != end && other->kind == step.kind;
    };
    const auto place = std::find_if(steps_.begin(), steps_.end(), [&step](const Step& other) {
      return other.asked > step.asked;
    });
    const bool is_said_before =
        step.kind == Kind::remove && is_said_in(std::make_reverse_iterator(place), steps_.rend());
    if (!is_said_before && !is_said_in(place, steps_.end())) {
      add(step);
    }
  }

  /// No member's word is enough for a removal.
  void add_replica(const Message& message) {
    if (message.life.empty()) {
      add_store(message.expiry_ms, kReplicaStamp, message.timestamp_ms);
    }
    for (const Step& step : message.life) {
      if (step.kind != Kind::remove) {
        add(step);
      }
    }
  }

  /// 0 where there is nothing, or it was deleted.
  [[nodiscard]] std::uint64_t expiry_ms() const { return life_at(latest()).expiry_ms; }

  /// It was deleted, but would be there had it ended before one of its stores: by something that was asked for before that, and may still come.
  [[nodiscard]] bool may_come_back() const {
    std::uint64_t removed_up_to_ms = 0;
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      if (step->kind == Kind::remove) {
        removed_up_to_ms = std::max(removed_up_to_ms, step->timestamp_ms);
      } else if (step->kind == Kind::store && step->timestamp_ms > removed_up_to_ms) {
        return expiry_ms() == 0;
      }
    }
    return false;
  }

  /// Of the store that brought it; one that is stored again while it is there keeps it.
  [[nodiscard]] std::uint64_t timestamp_ms() const { return life_at(latest()).timestamp_ms; }

  /// What was asked for since it has been there, for Message::life. Empty where a replica alone tells that it is.
  [[nodiscard]] std::vector<Step> life() const {
    std::vector<Step> told;
    Life now{settled_.expiry_ms, settled_.timestamp_ms};
    if (settled_.asked > kReplicaStamp && now.expiry_ms > 0) {
      told.push_back({settled_.asked, now.expiry_ms, Kind::store, now.timestamp_ms});
    }
    for (const Step& step : steps_) {
      const bool was_there = now.expiry_ms > step.asked / kStampsPerMs;
      now = after(now, step);
      if (!was_there || now.expiry_ms == 0) {
        told.clear();
      }
      if (step.kind == Kind::store && !is_replica(step)) {
        // What another replica told of it is now its own.
        told.push_back(step);
        told.back().expiry_ms = was_there ? step.expiry_ms : now.expiry_ms;
      } else if (!told.empty() && step.kind != Kind::remove) {
        told.push_back(step);
      }
    }
    return told;
  }

  /// When life() began; 0: not known.
  [[nodiscard]] Stamp began() const {
    const std::vector<Step> told = life();
    return told.empty() ? 0 : told.front().asked;
  }

  /// Whether `replica`, which was added, tells of a life that was over, as far as is known, before what is there now began, and of nothing since
  /// then that was not known `before` it was added.
  [[nodiscard]] bool began_after(const Message& replica, const MessageHistory& before) const {
    const Stamp now = began();
    if (replica.life.empty()) {
      return now > stamp_of(replica.timestamp_ms) && timestamp_ms() > replica.timestamp_ms;
    }
    const auto is_known = [&](const Step& step) {
      return step.asked <= before.settled_.asked ||
             std::any_of(before.steps_.begin(), before.steps_.end(), [&step](const Step& own) {
               return own.asked == step.asked && own.kind == step.kind;
             });
    };
    return replica.life.front().asked < now &&
           std::all_of(replica.life.begin(), replica.life.end(),
                       [&](const Step& step) { return step.asked < now || is_known(step); });
  }

  /// Whether it was there when something else was asked for, as far as is known.
  [[nodiscard]] bool was_there(Stamp asked) const {
    return settled_.asked > asked || life_at(asked).expiry_ms > asked / kStampsPerMs;
  }

  /// When a client stored it first, as far as is known.
  [[nodiscard]] Stamp first_stored() const {
    const auto first = std::find_if(steps_.begin(), steps_.end(), [](const Step& step) {
      return step.kind == Kind::store && !is_replica(step);
    });
    return first == steps_.end() ? UINT64_MAX : first->asked;
  }

  /// Whether a client stored it before that, with a timestamp that is no later than this.
  [[nodiscard]] bool was_stored(Stamp before, std::uint64_t up_to_ms) const {
    return std::any_of(steps_.begin(), steps_.end(), [&](const Step& step) {
      return step.kind == Kind::store && !is_replica(step) && step.asked < before &&
             step.timestamp_ms <= up_to_ms;
    });
  }

  /// Whether a client said something of it before.
  [[nodiscard]] bool begins_before(Stamp asked) const {
    return (settled_.asked > kReplicaStamp && settled_.asked < asked) ||
           std::any_of(steps_.begin(), steps_.end(), [asked](const Step& step) {
             return step.asked > kReplicaStamp && step.asked < asked;
           });
  }

  /// When a client last said something else of it than to keep it, as far as is known; 0: never. What was stored before and comes late is
  /// subject to that.
  [[nodiscard]] Stamp latest_but_stores() const {
    Stamp latest = settled_.asked > kReplicaStamp ? settled_.asked : 0;
    for (const Step& step : steps_) {
      latest = step.kind == Kind::store ? latest : step.asked;
    }
    return latest;
  }

  [[nodiscard]] Stamp latest() const {
    return steps_.empty() ? settled_.asked : steps_.back().asked;
  }

  [[nodiscard]] const Step& settled() const noexcept { return settled_; }

  [[nodiscard]] const std::vector<Step>& steps() const noexcept { return steps_; }

 private:
  struct Life {
    std::uint64_t expiry_ms = 0;
    std::uint64_t timestamp_ms = 0;
  };

  /// A step that is there already is not added again.
  void add(const Step& step) {
    if (step.asked < settled_.asked ||
        std::find(steps_.begin(), steps_.end(), step) != steps_.end()) {
      return;
    }
    if (step.kind == Kind::remove && step.timestamp_ms == UINT64_MAX) {
      settle_all_before(step);
      return;
    }
    const auto is_before = [](const Step& one, const Step& other) {
      const auto order = [](const Step& of) {
        return std::tuple(of.asked, is_replica(of) ? of.timestamp_ms : 0);
      };
      return order(one) < order(other);
    };
    steps_.insert(std::upper_bound(steps_.begin(), steps_.end(), step, is_before), step);
    if (steps_.size() > kStepsMax) {
      settle_oldest();
    }
  }

  void settle_all_before(const Step& removal) {
    std::erase_if(steps_, [&removal](const Step& step) { return step.asked <= removal.asked; });
    settled_ = {removal.asked};
  }

  void settle_oldest() {
    const Step& oldest = steps_.front();
    // A replica of a store that is known says little that is not known.
    if (store_of(oldest) == nullptr) {
      const Life life = after({settled_.expiry_ms, settled_.timestamp_ms}, oldest);
      settled_ = {oldest.asked, life.expiry_ms, Kind::set, life.timestamp_ms};
    }
    steps_.erase(steps_.begin());
  }

  [[nodiscard]] static bool is_replica(const Step& step) { return step.asked == kReplicaStamp; }

  /// The store that a replica is of, null where it is not known.
  [[nodiscard]] const Step* store_of(const Step& replica) const {
    if (!is_replica(replica)) {
      return nullptr;
    }
    const auto is_it = [&replica](const Step& step) {
      return step.kind == Kind::store && !is_replica(step) &&
             step.timestamp_ms == replica.timestamp_ms;
    };
    const auto store = std::find_if(steps_.begin(), steps_.end(), is_it);
    return store != steps_.end() ? &*store : nullptr;
  }

  [[nodiscard]] Life life_at(Stamp asked) const {
    Life life;
    if (settled_.asked <= asked) {
      life = {settled_.expiry_ms, settled_.timestamp_ms};
    }
    for (const Step& step : steps_) {
      life = step.asked <= asked ? after(life, step) : life;
    }
    return life;
  }

  /// `step` is one of steps_. A replica is told of with its store.
  [[nodiscard]] Life after(const Life& before, const Step& step) const {
    if (store_of(step) != nullptr) {
      return before;
    }
    Life life = changed_by(before, step);
    for (const Step& other : steps_) {
      life.expiry_ms =
          store_of(other) == &step ? std::max(life.expiry_ms, other.expiry_ms) : life.expiry_ms;
    }
    return life;
  }

  /// What is not there, never stored, expired or deleted, only a store changes.
  [[nodiscard]] static Life changed_by(Life life, const Step& step) {
    const std::uint64_t asked_ms = step.asked / kStampsPerMs;
    if (life.expiry_ms <= asked_ms) {
      return step.kind == Kind::store ? Life{step.expiry_ms, step.timestamp_ms} : life;
    }
    switch (step.kind) {
      case Kind::set:
        life.expiry_ms = step.expiry_ms;
        break;
      case Kind::shorten:
        life.expiry_ms = std::min(life.expiry_ms, step.expiry_ms);
        break;
      case Kind::extend:
        if (is_worth_extending(life.expiry_ms, step.expiry_ms, asked_ms)) {
          life.expiry_ms = step.expiry_ms;
        }
        break;
      case Kind::store:
        life.expiry_ms = std::max(life.expiry_ms, step.expiry_ms);
        break;
      case Kind::remove:
        life.expiry_ms = life.timestamp_ms <= step.timestamp_ms ? 0 : life.expiry_ms;
        break;
    }
    return life;
  }

  Step settled_;
  std::vector<Step> steps_;
};

/// When a replica was first asked for, as far as it says: its timestamp otherwise.
[[nodiscard]] inline Stamp first_stored(const Message& replica, std::uint64_t now_ms) {
  return replica.life.empty() ? stamp_of(std::min(replica.timestamp_ms, now_ms))
                              : replica.life.front().asked;
}

[[nodiscard]] inline Stamp last_stored(const Message& replica, std::uint64_t now_ms) {
  Stamp asked = first_stored(replica, now_ms);
  for (const HistoryStep& step : replica.life) {
    asked = step.kind == HistoryStep::Kind::store ? step.asked : asked;
  }
  return asked;
}

}  // namespace allium::storage
