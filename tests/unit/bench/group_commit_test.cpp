// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/group_commit.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "tools/bench/service_bench.hpp"

namespace allium::bench {
namespace {

TEST(GroupCommit, IsMeasuredAndLeavesNothingBehind) {
  const std::filesystem::path parent = testing::TempDir() + "group-commit";
  std::filesystem::create_directory(parent);
  const auto commit = measure_group_commit(parent.string(), 1000, 64, system_random());
  ASSERT_TRUE(commit) << commit.error().text;
  EXPECT_EQ(commit->in_flight, 64U);
  EXPECT_GT(commit->single_per_s, 0);
  EXPECT_GT(commit->grouped_per_s, 0);
  EXPECT_GT(commit->ratio, 0);
  EXPECT_TRUE(std::filesystem::is_empty(parent));
  std::filesystem::remove(parent);
}

TEST(GroupCommit, SaysWhatToDoWithoutADirectory) {
  const auto commit = measure_group_commit("/nonexistent", 1000, 64, system_random());
  ASSERT_FALSE(commit);
  EXPECT_EQ(commit.error().code, Errc::io);
  EXPECT_NE(commit.error().text.find("TMPDIR"), std::string::npos);
}

TEST(ServiceBench, RefusesOptionsThatDoNotFit) {
  const auto ignore = [](const std::string&) {};
  StoreBenchOptions few;
  few.ops = 63;
  EXPECT_EQ(bench_store({}, few, system_random(), ignore).error().code, Errc::out_of_range);
  StoreBenchOptions large;
  large.ops = 100'000;
  large.size = 76'800;
  EXPECT_EQ(bench_store({}, large, system_random(), ignore).error().code, Errc::out_of_range);
}

TEST(ServiceBench, AveragesTheNodesOfARange) {
  LoadResult load;
  load.cpu_us = {100, 20, 40, 7};
  EXPECT_EQ(mean_cpu_us(load, 1, 3), 30);
  EXPECT_EQ(mean_cpu_us(load, 3, 4), 7);
  EXPECT_EQ(mean_cpu_us(load, 1, 1), std::nullopt);
  EXPECT_EQ(mean_cpu_us(load, 4, 9), std::nullopt);
}

}  // namespace
}  // namespace allium::bench
