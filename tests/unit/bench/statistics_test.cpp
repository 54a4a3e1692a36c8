// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/statistics.hpp"

#include <numeric>
#include <vector>

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

TEST(Statistics, QuantilesAreValuesByNearestRank) {
  std::vector<double> values(200);
  std::iota(values.rbegin(), values.rend(), 1);
  EXPECT_EQ(quantile(values, 0.5), 100);
  EXPECT_EQ(quantile(values, 0.99), 198);
  EXPECT_EQ(quantile(values, 1), 200);
  EXPECT_EQ(quantile(values, 0.001), 1);
  EXPECT_EQ(quantile({7}, 0.99), 7);
  EXPECT_EQ(quantile({1, 2, 3}, 0.5), 2);
}

TEST(Statistics, MeanIsTheSumOverTheCount) {
  EXPECT_EQ(mean({1, 2, 6}), 3);
}

TEST(StatisticsDeathTest, NothingHasNoQuantile) {
  EXPECT_DEATH(static_cast<void>(quantile({}, 0.5)), "statistics.cpp");
  EXPECT_DEATH(static_cast<void>(quantile({1}, 0)), "statistics.cpp");
}

TEST(StatisticsDeathTest, NothingHasNoMedian) {
  EXPECT_DEATH(static_cast<void>(median({})), "statistics.cpp");
}

}  // namespace
}  // namespace allium::bench
