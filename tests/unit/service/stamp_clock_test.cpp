// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/stamp_clock.hpp"

#include <gtest/gtest.h>

namespace allium::control::internal {
namespace {

using storage::Stamp;
using storage::stamp_of;

constexpr std::uint64_t kNow = 1'800'000'000'000;

TEST(StampClock, KeepsToTheClockFromTheFirstStampOn) {
  StampClock clock(7, kNow, stamp_of(kNow - 5'000));
  for (std::uint64_t now_ms = kNow; now_ms < kNow + 10; ++now_ms) {
    const Stamp stamp = clock.next(now_ms);
    EXPECT_GE(stamp, stamp_of(now_ms));
    EXPECT_LT(stamp, stamp_of(now_ms + 1));
  }
}

TEST(StampClock, RisesWithinAMillisecondAndWhereTheClockGoesBack) {
  StampClock clock(7, kNow, 0);
  Stamp last = 0;
  for (const std::uint64_t now_ms : {kNow, kNow, kNow + 1, kNow - 60'000, kNow}) {
    const Stamp stamp = clock.next(now_ms);
    EXPECT_GT(stamp, last);
    last = stamp;
  }
}

TEST(StampClock, IsLaterThanWhatItSaw) {
  StampClock clock(7, kNow, 0);
  clock.saw(stamp_of(kNow + 1'000) + 999);
  EXPECT_GT(clock.next(kNow), stamp_of(kNow + 1'000) + 999);
}

TEST(StampClock, IsLaterThanWhatAnEarlierProcessSaw) {
  const Stamp seen = stamp_of(kNow + 1'900) + 3;
  StampClock clock(7, kNow, seen);
  EXPECT_GT(clock.next(kNow), seen);
}

TEST(StampClock, BelievesAnEarlierProcessNoFurtherThanGoodClocksDiffer) {
  StampClock clock(7, kNow, stamp_of(kNow + 86'400'000));
  const Stamp stamp = clock.next(kNow);
  EXPECT_GE(stamp, stamp_of(kNow + 2'000));
  EXPECT_LT(stamp, stamp_of(kNow + 2'001));
}

TEST(StampClock, SetsNodesApart) {
  EXPECT_NE(StampClock(7, kNow, 0).next(kNow), StampClock(8, kNow, 0).next(kNow));
}

}  // namespace
}  // namespace allium::control::internal
