// SPDX-License-Identifier: Apache-2.0
#include "tools/client/seq_window.hpp"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace allium::client {
namespace {

TEST(SeqWindow, AcceptsEachNumberOnce) {
  SeqWindow window;
  EXPECT_TRUE(window.accept(0));
  EXPECT_FALSE(window.accept(0));
  EXPECT_TRUE(window.accept(5));
  EXPECT_TRUE(window.accept(3));
  EXPECT_FALSE(window.accept(3));
  EXPECT_FALSE(window.accept(5));
}

TEST(SeqWindow, ForgetsNothingInsideAndTakesNothingBehind) {
  SeqWindow window;
  EXPECT_TRUE(window.accept(5000));
  EXPECT_TRUE(window.accept(5000 - 1023));
  EXPECT_FALSE(window.accept(5000 - 1023));
  EXPECT_FALSE(window.accept(5000 - 1024));
  EXPECT_TRUE(window.accept(5001));
  EXPECT_FALSE(window.accept(5001 - 1024));
  EXPECT_TRUE(window.accept(~std::uint64_t{0}));
  EXPECT_FALSE(window.accept(~std::uint64_t{0}));
  EXPECT_FALSE(window.accept(5001));
}

TEST(SeqWindow, AgreesWithASet) {
  std::mt19937_64 generator(3);
  SeqWindow window;
  std::set<std::uint64_t> seen;
  std::uint64_t highest = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t base = highest < 1500 ? 0 : highest - 1500;
    const std::uint64_t seq = base + generator() % 1600;
    const bool old = highest >= SeqWindow::kNumbers && seq <= highest - SeqWindow::kNumbers;
    EXPECT_EQ(window.accept(seq), !old && !seen.contains(seq));
    if (!old) {
      seen.insert(seq);
      highest = std::max(highest, seq);
    }
  }
}

}  // namespace
}  // namespace allium::client
