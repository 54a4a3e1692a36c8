// SPDX-License-Identifier: Apache-2.0
#include "control/node/clock_watch.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

constexpr std::uint64_t kNowMs = 1'800'000'000'000;

IdentityKey node(std::uint8_t number) {
  IdentityKey key{};
  key[0] = number;
  return key;
}

// `ahead_ms`: how far our clock is ahead of theirs.
void hear(ClockWatch& watch, std::uint8_t number, std::int64_t ahead_ms,
          std::uint64_t now_ms = kNowMs, std::uint64_t round_trip_ms = 20) {
  const std::uint64_t middle_ms = now_ms - round_trip_ms / 2;
  watch.add(node(number), middle_ms - static_cast<std::uint64_t>(ahead_ms), now_ms - round_trip_ms,
            now_ms);
}

TEST(ClockWatch, SaysNothingBeforeThreeNodesHaveSpoken) {
  ClockWatch watch;
  hear(watch, 1, 5000);
  hear(watch, 2, 5000);
  hear(watch, 2, 5000);
  EXPECT_FALSE(watch.offset_ms(kNowMs));
  EXPECT_TRUE(watch.is_good(kNowMs));
  hear(watch, 3, 5000);
  EXPECT_EQ(watch.offset_ms(kNowMs), 5000);
  EXPECT_FALSE(watch.is_good(kNowMs));
}

TEST(ClockWatch, TakesTheMedianSoThatALiarMovesNothing) {
  ClockWatch watch;
  hear(watch, 1, -10);
  hear(watch, 2, 12);
  hear(watch, 3, 3'600'000);
  EXPECT_EQ(watch.offset_ms(kNowMs), 12);
  EXPECT_TRUE(watch.is_good(kNowMs));
}

TEST(ClockWatch, IsGoodAgainOnlyWellBelowTheBound) {
  ClockWatch watch;
  const auto all_say = [&](std::int64_t ahead_ms) {
    for (std::uint8_t number = 1; number <= 3; ++number) {
      hear(watch, number, ahead_ms);
    }
    return watch.is_good(kNowMs);
  };
  EXPECT_TRUE(all_say(2000));
  EXPECT_FALSE(all_say(2001));
  EXPECT_FALSE(all_say(1800));
  EXPECT_TRUE(all_say(-1500));
  EXPECT_FALSE(all_say(-2001));
}

TEST(ClockWatch, LeavesOutWhatTookTooLongOrIsOld) {
  ClockWatch watch;
  hear(watch, 1, 9000);
  hear(watch, 2, 9000);
  hear(watch, 3, 9000, kNowMs, ClockWatch::kRoundTripMaxMs + 1);
  EXPECT_FALSE(watch.offset_ms(kNowMs));
  hear(watch, 3, 9000);
  EXPECT_TRUE(watch.offset_ms(kNowMs));
  EXPECT_FALSE(watch.offset_ms(kNowMs + ClockWatch::kSampleLifeMs));
  EXPECT_FALSE(watch.offset_ms(kNowMs - 1)) << "the clock was set back";
}

TEST(ClockWatch, ForgetsTheOldestOfMany) {
  ClockWatch watch;
  for (std::uint8_t number = 0; number < 8; ++number) {
    hear(watch, number, 9000);
  }
  for (std::uint8_t number = 100; number < 100 + ClockWatch::kSamplesMax; ++number) {
    hear(watch, number, 7);
  }
  EXPECT_EQ(watch.offset_ms(kNowMs), 7);
}

}  // namespace
}  // namespace allium::control
