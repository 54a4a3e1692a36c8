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
#include <utility>
#include <vector>

#include "storage/message_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

/// A replica brings an expiry that was said at some time: it counts as older than whatever a client says here.
inline constexpr Stamp kReplicaStamp = 1;

class MessageHistory {
 public:
  static constexpr std::size_t kStepsMax = 8;

  enum class Kind : std::uint8_t { set, shorten, extend, store, remove };

  struct Step {
    Stamp asked = 0;
    std::uint64_t expiry_ms = 0;
    Kind kind = Kind::set;

    bool operator==(const Step&) const = default;
  };

  MessageHistory() = default;

  /// `settled`: what all before came to, 0 where there was nothing; its kind tells nothing. Requires steps in order of their stamps.
  MessageHistory(Step settled, std::vector<Step> steps)
      : settled_(settled), steps_(std::move(steps)) {}

  bool operator==(const MessageHistory&) const = default;

  void add(ExpiryChange change, std::uint64_t expiry_ms, Stamp asked) {
    switch (change) {
      case ExpiryChange::set:
        return add(Kind::set, expiry_ms, asked);
      case ExpiryChange::shorten:
        return add(Kind::shorten, expiry_ms, asked);
      case ExpiryChange::extend:
        return add(Kind::extend, expiry_ms, asked);
    }
  }

  /// A step that is there already is not added again.
  void add(Kind kind, std::uint64_t expiry_ms, Stamp asked) {
    const Step step{asked, expiry_ms, kind};
    if (asked < settled_.asked || std::find(steps_.begin(), steps_.end(), step) != steps_.end()) {
      return;
    }
    const auto is_before = [](Stamp stamp, const Step& other) { return stamp < other.asked; };
    steps_.insert(std::upper_bound(steps_.begin(), steps_.end(), asked, is_before), step);
    if (steps_.size() > kStepsMax) {
      settled_ = {steps_.front().asked, after(settled_.expiry_ms, steps_.front()), Kind::set};
      steps_.erase(steps_.begin());
    }
  }

  /// 0 where there is nothing, or it was deleted.
  [[nodiscard]] std::uint64_t expiry_ms() const {
    std::uint64_t expiry = settled_.expiry_ms;
    for (const Step& step : steps_) {
      expiry = after(expiry, step);
    }
    return expiry;
  }

  /// Whether it was there when something else was asked for.
  [[nodiscard]] bool was_there(Stamp asked) const {
    std::uint64_t expiry = settled_.asked <= asked ? settled_.expiry_ms : 0;
    for (const Step& step : steps_) {
      expiry = step.asked <= asked ? after(expiry, step) : expiry;
    }
    return expiry > asked / kStampsPerMs;
  }

  /// Whether a client said something of it before.
  [[nodiscard]] bool begins_before(Stamp asked) const {
    return (settled_.asked > kReplicaStamp && settled_.asked < asked) ||
           std::any_of(steps_.begin(), steps_.end(), [asked](const Step& step) {
             return step.asked > kReplicaStamp && step.asked < asked;
           });
  }

  [[nodiscard]] Stamp latest() const {
    return steps_.empty() ? settled_.asked : steps_.back().asked;
  }

  [[nodiscard]] const Step& settled() const noexcept { return settled_; }

  [[nodiscard]] const std::vector<Step>& steps() const noexcept { return steps_; }

 private:
  /// What is not there, never stored, expired or deleted, only a store changes.
  [[nodiscard]] static std::uint64_t after(std::uint64_t held_ms, const Step& step) {
    const std::uint64_t asked_ms = step.asked / kStampsPerMs;
    if (held_ms <= asked_ms) {
      return step.kind == Kind::store ? step.expiry_ms : held_ms;
    }
    switch (step.kind) {
      case Kind::set:
        return step.expiry_ms;
      case Kind::shorten:
        return std::min(held_ms, step.expiry_ms);
      case Kind::store:
        return std::max(held_ms, step.expiry_ms);
      case Kind::remove:
        return 0;
      case Kind::extend:
        break;
    }
    return is_worth_extending(held_ms, step.expiry_ms, asked_ms) ? step.expiry_ms : held_ms;
  }

  Step settled_;
  std::vector<Step> steps_;
};

}  // namespace allium::storage
