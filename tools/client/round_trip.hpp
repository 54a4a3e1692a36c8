// SPDX-License-Identifier: Apache-2.0
#pragma once

// Smoothed round-trip time and the retransmission timer from it (the estimator of RFC 6298).
//
//   Units      microseconds.
//   Limits     the timer stays within kTimerUsMin..kTimerUsMax. The lower bound lets a relay on a busy
//              machine be asleep for a few scheduler ticks.

#include <algorithm>
#include <cstdint>

namespace allium::client {

class RoundTrip {
 public:
  static constexpr std::uint64_t kTimerUsMin = 60'000;
  static constexpr std::uint64_t kTimerUsFirst = 500'000;
  static constexpr std::uint64_t kTimerUsMax = 4'000'000;

  void add(std::uint64_t sample_us) noexcept {
    if (smoothed_us_ == 0) {
      smoothed_us_ = std::max<std::uint64_t>(sample_us, 1);
      deviation_us_ = sample_us / 2;
      return;
    }
    const std::uint64_t distance_us =
        sample_us > smoothed_us_ ? sample_us - smoothed_us_ : smoothed_us_ - sample_us;
    deviation_us_ = (3 * deviation_us_ + distance_us) / 4;
    smoothed_us_ = std::max<std::uint64_t>((7 * smoothed_us_ + sample_us) / 8, 1);
  }

  [[nodiscard]] bool known() const noexcept { return smoothed_us_ != 0; }

  [[nodiscard]] std::uint64_t smoothed_us() const noexcept { return smoothed_us_; }

  [[nodiscard]] std::uint64_t timer_us() const noexcept {
    if (!known()) {
      return kTimerUsFirst;
    }
    return std::clamp(smoothed_us_ + 4 * deviation_us_, kTimerUsMin, kTimerUsMax);
  }

 private:
  std::uint64_t smoothed_us_ = 0;
  std::uint64_t deviation_us_ = 0;
};

}  // namespace allium::client
