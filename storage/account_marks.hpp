// SPDX-License-Identifier: Apache-2.0
#pragma once

// What was said of all messages of a namespace, or of an account: that they are deleted up to some timestamp, or that they live no longer
// than that. For those that were stored before and arrive later.
//
//   Units      Unix milliseconds, stamps (message_store.hpp).
//   Limits     kMarksMax marks. Of more the oldest is forgotten of which a later one says as much, else the oldest: what was stored before it and
//              comes later than all of them is treated as the next says.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "storage/message_history.hpp"
#include "storage/message_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

struct Mark {
  Stamp asked = 0;
  std::uint64_t time_ms = 0;

  bool operator==(const Mark&) const = default;
};

/// `SaysMore(a, b)`: a time of a mark says more than another.
template <typename SaysMore>
class Marks {
 public:
  static constexpr std::size_t kMarksMax = 8;

  Marks() = default;

  /// Requires are_in_order().
  explicit Marks(std::vector<Mark> marks) : marks_(std::move(marks)) {}

  bool operator==(const Marks&) const = default;

  void add(const Mark& mark) {
    if (std::find(marks_.begin(), marks_.end(), mark) != marks_.end()) {
      return;
    }
    const auto is_before = [](Stamp stamp, const Mark& other) { return stamp < other.asked; };
    marks_.insert(std::upper_bound(marks_.begin(), marks_.end(), mark.asked, is_before), mark);
    if (marks_.size() > kMarksMax) {
      forget_one();
    }
  }

  /// When they are of no use any more: no store comes so late. Requires one mark at least.
  [[nodiscard]] std::uint64_t end_ms() const { return end_of_lateness(marks_.back().asked); }

  [[nodiscard]] const std::vector<Mark>& marks() const noexcept { return marks_; }

  [[nodiscard]] std::vector<Mark> most_first() const {
    std::vector<Mark> sorted = marks_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Mark& one, const Mark& other) {
      return SaysMore()(one.time_ms, other.time_ms);
    });
    return sorted;
  }

  /// What may be given to the constructor.
  [[nodiscard]] static bool are_in_order(const std::vector<Mark>& marks) {
    const auto is_wrong = [](const Mark& one, const Mark& next) { return one.asked > next.asked; };
    return marks.size() <= kMarksMax &&
           std::adjacent_find(marks.begin(), marks.end(), is_wrong) == marks.end();
  }

 private:
  // One that a later one makes needless for most still ends what was there, before it was stored anew and the later one ended nothing.
  void forget_one() {
    const auto covered = std::find_if(marks_.begin(), marks_.end(), [this](const Mark& one) {
      return std::any_of(marks_.begin(), marks_.end(), [&one](const Mark& by) {
        return one.asked < by.asked && !SaysMore()(one.time_ms, by.time_ms);
      });
    });
    marks_.erase(covered == marks_.end() ? marks_.begin() : covered);
  }

  std::vector<Mark> marks_;
};

/// That all were to live no longer than time_ms.
using ShortenMarks = Marks<std::less<>>;

/// That all with a timestamp <= time_ms were deleted.
using RemovalMarks = Marks<std::greater<>>;

/// Tells the history of a message what was asked for after its store, or after what is known of it began: of marks with nothing else between
/// them the one that says most, for a history has few steps.
inline void tell(const ShortenMarks& marks, MessageHistory& history, Stamp stored) {
  const Stamp first = std::min(stored, history.first_stored());
  for (const Mark& mark : marks.most_first()) {
    if (mark.asked > first) {
      history.add_if_new({mark.asked, mark.time_ms, HistoryStep::Kind::shorten});
    }
  }
}

/// `stored` of a replica is its timestamp; it does not come back with what is as old as its deletion.
inline void tell(const RemovalMarks& marks, MessageHistory& history, Stamp stored, Origin origin,
                 std::uint64_t timestamp_ms) {
  for (const Mark& mark : marks.most_first()) {
    const bool is_before = origin == Origin::replica ? stored <= mark.asked : stored < mark.asked;
    if ((is_before && timestamp_ms <= mark.time_ms) ||
        history.was_stored(mark.asked, mark.time_ms)) {
      history.add_if_new({mark.asked, 0, HistoryStep::Kind::remove, mark.time_ms});
    }
  }
}

}  // namespace allium::storage
