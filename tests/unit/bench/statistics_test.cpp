// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/statistics.hpp"

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

TEST(Statistics, MedianIsTheMiddleWhateverTheOrder) {
  EXPECT_EQ(median({7}), 7);
  EXPECT_EQ(median({9, 1, 5}), 5);
  EXPECT_EQ(median({1000, 1, 2, 3, 4}), 3);
}

TEST(Statistics, MedianOfAnEvenNumberIsTheMeanOfTheTwoInTheMiddle) {
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
}

TEST(Statistics, SpreadIsSmallestToLargestOverTheMedian) {
  EXPECT_EQ(spread_percent({100, 90, 120}), 30);
  EXPECT_EQ(spread_percent({5, 5, 5}), 0);
  EXPECT_EQ(spread_percent({0, 0, 0}), 0);
}

TEST(StatisticsDeathTest, NothingHasNoMedian) {
  EXPECT_DEATH(static_cast<void>(median({})), "statistics.cpp");
}

}  // namespace
}  // namespace allium::bench
