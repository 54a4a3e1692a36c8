// SPDX-License-Identifier: Apache-2.0
#pragma once

// That all messages of a namespace, or of an account, were to live no longer than that: for those that were stored before and arrive
// later.
//
//   Units      Unix milliseconds, stamps (message_store.hpp).
//   Limits     kMarksMax marks that say something. Of more the oldest is forgotten: what was stored before it and comes later than all
//              of them lives as long as the next allows.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "storage/expiry_history.hpp"
#include "storage/message_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

class ShortenMarks {
 public:
  static constexpr std::size_t kMarksMax = 8;

  struct Mark {
    Stamp asked = 0;
    std::uint64_t expiry_ms = 0;

    bool operator==(const Mark&) const = default;
  };

  ShortenMarks() = default;

  /// Requires marks whose stamps and expiries both rise.
  explicit ShortenMarks(std::vector<Mark> marks) : marks_(std::move(marks)) {}

  bool operator==(const ShortenMarks&) const = default;

  void add(const Mark& mark) {
    const auto says_less = [](const Mark& one, const Mark& than) {
      return one.asked <= than.asked && one.expiry_ms >= than.expiry_ms;
    };
    const auto says_nothing_new = [&](const Mark& other) { return says_less(mark, other); };
    if (std::any_of(marks_.begin(), marks_.end(), says_nothing_new)) {
      return;
    }
    std::erase_if(marks_, [&](const Mark& other) { return says_less(other, mark); });
    const auto is_before = [](Stamp stamp, const Mark& other) { return stamp < other.asked; };
    marks_.insert(std::upper_bound(marks_.begin(), marks_.end(), mark.asked, is_before), mark);
    if (marks_.size() > kMarksMax) {
      marks_.erase(marks_.begin());
    }
  }

  /// Tells the history of a message what was asked for after its store.
  void tell(ExpiryHistory& expiry, Stamp stored) const {
    for (const Mark& mark : marks_) {
      if (mark.asked > stored) {
        expiry.add(ExpiryChange::shorten, mark.expiry_ms, mark.asked);
      }
    }
  }

  /// When they are of no use any more: no store comes so late. Requires one mark at least.
  [[nodiscard]] std::uint64_t end_ms() const {
    return end_of_watermark(marks_.back().asked / kStampsPerMs);
  }

  [[nodiscard]] const std::vector<Mark>& marks() const noexcept { return marks_; }

 private:
  std::vector<Mark> marks_;
};

}  // namespace allium::storage
