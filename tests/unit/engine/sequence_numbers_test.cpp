// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/sequence_numbers.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace allium::dataplane {
namespace {

constexpr std::uint64_t kEpoch = 2'975'000;

std::vector<std::uint64_t> numbers_of(const SequenceBlock& block) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = block.next; number < block.end; ++number) {
    numbers.push_back(number);
  }
  return numbers;
}

TEST(SequenceNumbers, GivesEveryNumberOfTheRangeOnce) {
  SequenceNumbers numbers;
  numbers.set_range(kEpoch, 1000, 1200);
  std::vector<std::uint64_t> all;
  for (SequenceBlock block = numbers.take_block(kEpoch); block.next != block.end;
       block = numbers.take_block(kEpoch)) {
    EXPECT_LE(block.end - block.next, SequenceNumbers::kBlock);
    const auto some = numbers_of(block);
    all.insert(all.end(), some.begin(), some.end());
  }
  ASSERT_EQ(all.size(), 200U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i], 1000 + i);
  }
}

TEST(SequenceNumbers, AnEndedOrUnknownRangeStaysEmpty) {
  SequenceNumbers numbers;
  numbers.set_range(kEpoch, 0, 1);
  EXPECT_EQ(numbers_of(numbers.take_block(kEpoch)).size(), 1U);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_TRUE(numbers_of(numbers.take_block(kEpoch)).empty());
  }
  EXPECT_TRUE(numbers_of(numbers.take_block(kEpoch + 1)).empty());
}

TEST(SequenceNumbers, ASnapshotThatRepeatsARangeDoesNotRepeatItsNumbers) {
  SequenceNumbers numbers;
  numbers.set_range(kEpoch, 0, 1000);
  const SequenceBlock first = numbers.take_block(kEpoch);
  numbers.set_range(kEpoch, 0, 1000);
  const SequenceBlock second = numbers.take_block(kEpoch);
  EXPECT_EQ(second.next, first.end);
}

TEST(SequenceNumbers, EpochsHaveRangesOfTheirOwn) {
  SequenceNumbers numbers;
  numbers.set_range(kEpoch, 0, 64);
  numbers.set_range(kEpoch + 1, 500, 564);
  EXPECT_EQ(numbers.take_block(kEpoch + 1).next, 500U);
  EXPECT_EQ(numbers.take_block(kEpoch).next, 0U);
}

TEST(SequenceNumbers, WorkersNeverShareANumber) {
  SequenceNumbers numbers;
  constexpr std::uint64_t kCount = 64 * 1000 + 17;
  numbers.set_range(kEpoch, 0, kCount);
  std::vector<std::vector<std::uint64_t>> taken(4);
  std::vector<std::thread> workers;
  for (auto& own : taken) {
    workers.emplace_back([&numbers, &own] {
      for (SequenceBlock block = numbers.take_block(kEpoch); block.next != block.end;
           block = numbers.take_block(kEpoch)) {
        const auto some = numbers_of(block);
        own.insert(own.end(), some.begin(), some.end());
      }
    });
  }
  for (std::thread& worker : workers) {
    worker.join();
  }
  std::vector<std::uint64_t> all;
  for (const auto& own : taken) {
    all.insert(all.end(), own.begin(), own.end());
  }
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), kCount);
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  EXPECT_EQ(all.back(), kCount - 1);
}

}  // namespace
}  // namespace allium::dataplane
