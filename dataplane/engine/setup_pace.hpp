// SPDX-License-Identifier: Apache-2.0
#pragma once

// When the setup packets that wait are opened, and how many at a time: each costs a key agreement, that is up to
// a hundred data packets. So that neither a flood of them nor a flood of data starves the other:
//
//   * at most one batch a turn, after the turn's data;
//   * while data keeps coming, setup work takes `share_percent` of the time at most, and no less where it has that
//     much to do: after a batch that took c, none for c * (100 - share) / share;
//   * with data about (in this millisecond or the last), a batch is as long as kSliceUs, or one packet, so that the
//     device's queue bears the wait; how many packets that is, the last batch said;
//   * a turn that no data came in has no share to keep, and without data about a batch is of up to 32;
//   * a few packets wait kCompanyUs for others while packets of any kind come, since kernels take eight as one.
//
//   Units      cycles are those of the time stamp counter.
//   Threads    one.
//   Limits     a batch that the machine interrupted (a guest that was not run) counts for kPauseMaxUs at most.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dataplane/onion/burst.hpp"

namespace allium::dataplane {

class SetupPace {
 public:
  static constexpr std::uint64_t kSliceUs = 100;
  static constexpr std::uint64_t kCompanyUs = 100;
  static constexpr std::uint64_t kPauseMaxUs = 10'000;
  static constexpr std::size_t kCompanyLanes = 8;

  /// Requires share_percent in 1 .. 100.
  SetupPace(std::uint64_t tsc_hz, unsigned share_percent) noexcept
      : tsc_per_us_(std::max<std::uint64_t>(tsc_hz / 1'000'000, 1)),
        share_percent_(share_percent) {}

  struct Turn {
    std::uint64_t now_ms = 0;
    std::size_t received = 0;  ///< packets of any kind
    std::size_t data = 0;      ///< of these, what was admitted and is no setup packet
    std::size_t waiting = 0;   ///< setup packets, also of earlier turns
  };

  /// Every turn, before lanes_due. True where there is something to decide, and so a use for the time.
  [[nodiscard]] bool enter_turn(const Turn& turn) noexcept {
    turn_ = turn;
    if (turn.data > 0) {
      data_ms_ = turn.now_ms;
    }
    is_first_ = is_first_ || turn.waiting == 0;
    return turn.waiting > 0;
  }

  /// How many to open now, 0 to kBurstMax. Requires that enter_turn said true.
  [[nodiscard]] std::size_t lanes_due(std::uint64_t now_tsc) noexcept {
    if (is_first_) {
      waiting_since_tsc_ = now_tsc;
      is_first_ = false;
    }
    // Differences, so that a counter that is behind on another socket looks like one that is far ahead.
    if (turn_.data > 0 && now_tsc - paused_from_tsc_ < pause_tsc_) {
      return 0;
    }
    if (turn_.received > 0 && turn_.waiting < kCompanyLanes &&
        now_tsc - waiting_since_tsc_ < kCompanyUs * tsc_per_us_) {
      return 0;
    }
    const bool is_data_about = turn_.now_ms - data_ms_ < 2;
    const std::size_t lanes_max = is_data_about ? slice_lanes_ : onion::kBurstMax;
    return std::min(turn_.waiting, lanes_max);
  }

  /// A batch of `lanes` took from `begin_tsc` to `end_tsc`. Requires lanes > 0.
  void enter_batch(std::size_t lanes, std::uint64_t begin_tsc, std::uint64_t end_tsc) noexcept {
    const std::uint64_t cost = std::max<std::uint64_t>(end_tsc - begin_tsc, 1);
    const std::uint64_t fitting = lanes * kSliceUs * tsc_per_us_ / cost;
    slice_lanes_ = std::clamp<std::uint64_t>(fitting, 1, onion::kBurstMax);
    paused_from_tsc_ = end_tsc;
    pause_tsc_ =
        std::min(cost, kPauseMaxUs * tsc_per_us_) * (100 - share_percent_) / share_percent_;
    pause_tsc_ = std::min(pause_tsc_, kPauseMaxUs * tsc_per_us_);
    waiting_since_tsc_ = end_tsc;
  }

 private:
  std::uint64_t tsc_per_us_;
  unsigned share_percent_;
  Turn turn_;
  bool is_first_ = true;  ///< nothing waited before this turn
  std::uint64_t data_ms_ = 0;
  std::uint64_t waiting_since_tsc_ = 0;
  std::uint64_t paused_from_tsc_ = 0;
  std::uint64_t pause_tsc_ = 0;
  std::size_t slice_lanes_ = 1;  ///< until a batch has said what one costs
};

}  // namespace allium::dataplane
