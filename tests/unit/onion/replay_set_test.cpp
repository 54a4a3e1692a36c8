// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/replay_set.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "aligned_memory.hpp"

namespace allium::onion {
namespace {

constexpr std::uint64_t kFloor = 225'001'053;
constexpr std::size_t kLines = 64;

// A set in memory of its own, ready for the slots kFloor to kFloor + 3.
struct Fixture {
  explicit Fixture(std::size_t line_count = kLines, Inserters who = Inserters::many)
      : lines(line_count), inserters(who), memory(ReplaySet::bytes_needed(lines)), set(attach()) {
    set.clear_all_due();
  }

  ReplaySet attach() {
    Result<ReplaySet> attached = ReplaySet::attach(memory.span(), lines, kFloor, inserters);
    EXPECT_TRUE(attached);
    return std::move(*attached);
  }

  std::size_t lines;
  Inserters inserters;
  AlignedMemory memory;
  ReplaySet set;
};

// One thread that is alone, and one that may not be.
class ReplaySetOf : public testing::TestWithParam<Inserters> {};

INSTANTIATE_TEST_SUITE_P(Inserters, ReplaySetOf, testing::Values(Inserters::one, Inserters::many),
                         [](const auto& param) {
                           return param.param == Inserters::one ? "One" : "Many";
                         });

TEST_P(ReplaySetOf, AcceptsATagOnceASlot) {
  Fixture one(kLines, GetParam());

  EXPECT_EQ(one.set.test_and_set(kFloor, 7), ReplayAnswer::fresh);
  EXPECT_EQ(one.set.test_and_set(kFloor, 7), ReplayAnswer::replay);
  EXPECT_EQ(one.set.test_and_set(kFloor + 1, 7), ReplayAnswer::fresh);
  EXPECT_EQ(one.set.test_and_set(kFloor + 1, 7), ReplayAnswer::replay);
}

TEST_P(ReplaySetOf, AnswersAsAStdSetDoes) {
  Fixture one(256, GetParam());
  std::set<std::pair<std::uint64_t, std::uint64_t>> model;
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> tags(2000);
  for (std::uint64_t& tag : tags) {
    tag = random();
  }

  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t slot = kFloor + random() % 3;
    const std::uint64_t tag = tags[random() % tags.size()];
    const bool is_fresh = model.emplace(slot, tag).second;

    ASSERT_EQ(one.set.test_and_set(slot, tag),
              is_fresh ? ReplayAnswer::fresh : ReplayAnswer::replay);
  }
}

TEST_P(ReplaySetOf, LosesAtMostOneInTenThousandToFalsePositives) {
  constexpr std::size_t kTags = 1'000'000;
  Fixture one(ReplaySet::lines_for(kTags / 8), GetParam());
  std::mt19937_64 random(2);
  std::size_t refused = 0;

  for (std::size_t i = 0; i < kTags; ++i) {
    refused += one.set.test_and_set(kFloor, random()) == ReplayAnswer::fresh ? 0U : 1U;
  }

  EXPECT_GE(one.set.capacity(), kTags);
  EXPECT_LE(refused, kTags / 10'000);
}

TEST_P(ReplaySetOf, HoldsWhatItWasSizedForAndThenSaysFull) {
  Fixture one(kLines, GetParam());
  std::mt19937_64 random(3);
  std::uint64_t fitted = 0;
  while (one.set.test_and_set(kFloor, random()) == ReplayAnswer::fresh) {
    ++fitted;
  }

  EXPECT_GE(fitted, one.set.capacity());
  EXPECT_LE(fitted, kLines * ReplaySet::kPlacesPerLine);
}

TEST(ReplaySet, OfTwinsInTwoThreadsExactlyOneIsFresh) {
  constexpr std::size_t kTags = 40'000;
  Fixture one(ReplaySet::lines_for(kTags / 8));
  std::vector<std::atomic<int>> fresh(kTags);
  std::barrier start(3);
  const auto insert_all = [&] {
    std::mt19937_64 random(4);
    start.arrive_and_wait();
    for (std::size_t i = 0; i < kTags; ++i) {
      if (one.set.test_and_set(kFloor, random()) == ReplayAnswer::fresh) {
        ++fresh[i];
      }
    }
  };

  std::thread first(insert_all);
  std::thread second(insert_all);
  std::thread third(insert_all);
  first.join();
  second.join();
  third.join();

  std::size_t wrong = 0;
  for (const std::atomic<int>& count : fresh) {
    wrong += count == 1 ? 0U : 1U;
  }
  EXPECT_EQ(wrong, 0U);
}

TEST(ReplaySet, FloorNeverFallsAndShutsWhatIsBelow) {
  Fixture one;
  one.set.raise_floor(kFloor + 1);
  one.set.raise_floor(kFloor - 5);

  EXPECT_EQ(one.set.floor(), kFloor + 1);
  EXPECT_EQ(one.set.test_and_set(kFloor, 7), ReplayAnswer::closed);
  EXPECT_EQ(one.set.test_and_set(kFloor + 1, 7), ReplayAnswer::fresh);
}

TEST(ReplaySet, NextTurnOfTheSlotFindsItsGenerationReady) {
  Fixture one;

  for (std::uint64_t floor = kFloor; floor < kFloor + 20; ++floor) {
    one.set.raise_floor(floor);
    for (const std::uint64_t slot : {floor, floor + 1, floor + 2}) {
      EXPECT_NE(one.set.test_and_set(slot, 7), ReplayAnswer::closed);
    }
    one.set.clear_all_due();
  }
}

TEST(ReplaySet, IsShutWhileItsGenerationIsNotCleared) {
  Fixture one;
  ASSERT_EQ(one.set.test_and_set(kFloor, 7), ReplayAnswer::fresh);

  one.set.raise_floor(kFloor + 4);
  EXPECT_EQ(one.set.test_and_set(kFloor + 4, 7), ReplayAnswer::closed);
  EXPECT_FALSE(one.set.clear_some(kLines - 1));
  EXPECT_EQ(one.set.test_and_set(kFloor + 4, 7), ReplayAnswer::closed);
  EXPECT_FALSE(one.set.clear_some(1));
  EXPECT_EQ(one.set.test_and_set(kFloor + 4, 7), ReplayAnswer::fresh);
  EXPECT_TRUE(one.set.clear_some(3 * kLines));
}

// What bounds the time of a call is what it writes.
TEST(ReplaySet, ASliceIsBoundedAndSixtyFourReadyAGeneration) {
  constexpr std::size_t kLineBytes = 64;
  for (const std::size_t lines : {ReplaySet::lines_for(1'000), ReplaySet::lines_for(200'000)}) {
    Fixture one(lines);
    const std::size_t slice = one.set.slice_lines();
    EXPECT_LE(slice, std::max<std::size_t>(4096, lines / 64));
    const std::span<std::byte> all = one.memory.span();
    const std::span<std::byte> generation = all.last(4 * lines * kLineBytes)
                                                .subspan(kFloor % 4 * lines * kLineBytes)
                                                .first(lines * kLineBytes);
    std::fill(generation.begin(), generation.end(), std::byte{0xff});
    const auto written_lines = [&] {
      std::size_t count = 0;
      for (std::size_t line = 0; line < lines; ++line) {
        count += static_cast<std::size_t>(generation[line * kLineBytes] == std::byte{0});
      }
      return count;
    };
    one.set.raise_floor(kFloor + 1);
    std::size_t calls = 0;
    std::size_t written = 0;
    for (bool is_ready = false; !is_ready; ++calls) {
      ASSERT_LT(calls, 65U);
      is_ready = one.set.clear_some(slice);
      const std::size_t now_written = written_lines();
      ASSERT_LE(now_written - written, slice);
      written = now_written;
    }
    EXPECT_EQ(written, lines);
    EXPECT_EQ(one.set.test_and_set(kFloor + 4, 7), ReplayAnswer::fresh);
  }
}

TEST(ReplaySet, OutlivesTheProcessThatUsedIt) {
  Fixture one;
  EXPECT_TRUE(one.set.was_new());
  ASSERT_EQ(one.set.test_and_set(kFloor + 1, 7), ReplayAnswer::fresh);
  one.set.raise_floor(kFloor + 1);

  ReplaySet next = one.attach();
  next.clear_all_due();

  EXPECT_FALSE(next.was_new());
  EXPECT_EQ(next.floor(), kFloor + 1);
  EXPECT_EQ(next.test_and_set(kFloor + 1, 7), ReplayAnswer::replay);
}

TEST(ReplaySet, ACrashInTheMiddleOfClearingLeavesNothingBehind) {
  Fixture one;
  std::mt19937_64 random(5);
  std::vector<std::uint64_t> tags(500);
  for (std::uint64_t& tag : tags) {
    tag = random();
    ASSERT_EQ(one.set.test_and_set(kFloor, tag), ReplayAnswer::fresh);
  }
  one.set.raise_floor(kFloor + 4);
  ASSERT_FALSE(one.set.clear_some(kLines / 2));

  ReplaySet next = one.attach();
  next.clear_all_due();

  for (const std::uint64_t tag : tags) {
    EXPECT_EQ(next.test_and_set(kFloor + 4, tag), ReplayAnswer::fresh);
  }
}

TEST(ReplaySet, ANewSetStartsAtTheFloorItIsGiven) {
  AlignedMemory memory(ReplaySet::bytes_needed(kLines));
  Result<ReplaySet> set = ReplaySet::attach(memory.span(), kLines, kFloor + 2);
  ASSERT_TRUE(set);
  set->clear_all_due();

  EXPECT_EQ(set->test_and_set(kFloor + 1, 7), ReplayAnswer::closed);
  EXPECT_EQ(set->test_and_set(kFloor + 2, 7), ReplayAnswer::fresh);
}

TEST(ReplaySet, RefusesMemoryOfAnotherSizeOrLayout) {
  AlignedMemory memory(ReplaySet::bytes_needed(kLines));

  EXPECT_FALSE(ReplaySet::attach(memory.span().first(4096), kLines, kFloor));
  EXPECT_FALSE(ReplaySet::attach(memory.span(), kLines + 1, kFloor));
  memory.span()[3] = std::byte{1};
  EXPECT_FALSE(ReplaySet::attach(memory.span(), kLines, kFloor));
}

// Clearing beside inserting: a worker whose slot goes away under its feet may be told fresh while the
// slot is open, never twice for one tag.
TEST_P(ReplaySetOf, NeverAcceptsATwinWhileTheSlotTurns) {
  const std::size_t inserters = GetParam() == Inserters::one ? 1 : 2;
  Fixture one(kLines, GetParam());
  constexpr std::size_t kRounds = 200;
  std::atomic<std::uint64_t> floor{kFloor};
  std::atomic<std::size_t> twice{0};
  std::barrier round(static_cast<std::ptrdiff_t>(inserters) + 1);
  std::vector<std::atomic<int>> fresh(kRounds);
  const auto insert = [&] {
    for (std::size_t i = 0; i < kRounds; ++i) {
      round.arrive_and_wait();
      const std::uint64_t slot = floor.load();
      for (int again = 0; again < 50; ++again) {
        fresh[i] += one.set.test_and_set(slot, 7 + i) == ReplayAnswer::fresh ? 1 : 0;
      }
      round.arrive_and_wait();
    }
  };

  std::vector<std::thread> threads;
  while (threads.size() < inserters) {
    threads.emplace_back(insert);
  }
  for (std::size_t i = 0; i < kRounds; ++i) {
    round.arrive_and_wait();
    // Every other time something is in the slot by then, wherever the scheduler has the threads.
    while (i % 2 == 0 && fresh[i] == 0) {
      std::this_thread::yield();
    }
    one.set.raise_floor(floor.load() + 4);
    one.set.clear_all_due();
    round.arrive_and_wait();
    twice += fresh[i] > 1 ? 1U : 0U;
    floor += 4;
  }
  for (std::thread& thread : threads) {
    thread.join();
  }

  EXPECT_EQ(twice, 0U);
  EXPECT_GE(std::count_if(fresh.begin(), fresh.end(), [](const auto& count) { return count > 0; }),
            static_cast<std::ptrdiff_t>(kRounds / 2));
}

}  // namespace
}  // namespace allium::onion
