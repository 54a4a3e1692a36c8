// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/handle_table.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "aligned_memory.hpp"

namespace allium::onion {
namespace {

constexpr std::uint64_t kEpoch = 3'000'014;
constexpr std::uint64_t kFirst = 1000;

// 2001:db8:<site>:<host>::<low>
Endpoint client_at(std::uint64_t site, std::uint64_t host, std::uint64_t low,
                   std::uint16_t port = 5000) {
  Endpoint client;
  store_be(client.address.data(), 0x20010db8, 4);
  store_be(client.address.data() + 4, site, 2);
  store_be(client.address.data() + 6, host, 2);
  store_be(client.address.data() + 8, low, 8);
  client.port = port;
  return client;
}

struct Fixture {
  explicit Fixture(const HandleLimits& table_limits)
      : limits(table_limits), memory(HandleTable::bytes_needed(limits)), table(attach()) {}

  HandleTable attach() {
    Result<HandleTable> attached = HandleTable::attach(memory.span(), limits, kFirst);
    EXPECT_TRUE(attached);
    return std::move(*attached);
  }

  HandleLimits limits;
  AlignedMemory memory;
  HandleTable table;
};

TEST(HandleTable, GivesEachClientANumberAndFindsItAgain) {
  Fixture one({8, 0, 0});

  EXPECT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst);
  EXPECT_EQ(one.table.use(client_at(1, 1, 1, 5001), kEpoch), kFirst + 1);
  EXPECT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst);
  EXPECT_EQ(one.table.find(kFirst, kEpoch), client_at(1, 1, 1));
  EXPECT_EQ(one.table.find(kFirst + 1, kEpoch), client_at(1, 1, 1, 5001));
  EXPECT_EQ(one.table.find(kFirst + 2, kEpoch), std::nullopt);
}

TEST(HandleTable, AnEntryLivesToTheEndOfTheEpochAfterItsLastUse) {
  Fixture one({8, 0, 0});
  ASSERT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst);
  EXPECT_TRUE(one.table.find(kFirst, kEpoch + 1));
  EXPECT_FALSE(one.table.find(kFirst, kEpoch + 2));

  ASSERT_EQ(one.table.use(client_at(1, 1, 1), kEpoch + 1), kFirst);
  EXPECT_TRUE(one.table.find(kFirst, kEpoch + 2));
  EXPECT_EQ(one.table.use(client_at(1, 1, 1), kEpoch + 3), kFirst + 1);
}

TEST(HandleTable, IsFullOfLiveEntriesAlone) {
  Fixture one({2, 0, 0});
  ASSERT_TRUE(one.table.use(client_at(1, 1, 1), kEpoch));
  ASSERT_TRUE(one.table.use(client_at(2, 2, 2), kEpoch + 1));

  EXPECT_FALSE(one.table.use(client_at(3, 3, 3), kEpoch + 1));
  EXPECT_EQ(one.table.use(client_at(3, 3, 3), kEpoch + 2), kFirst + 2);
  EXPECT_EQ(one.table.find(kFirst + 1, kEpoch + 2), client_at(2, 2, 2));
  EXPECT_EQ(one.table.find(kFirst + 2, kEpoch + 2), client_at(3, 3, 3));
}

TEST(HandleTable, BoundsOneHostAndOneSite) {
  Fixture one({64, 2, 3});
  ASSERT_TRUE(one.table.use(client_at(1, 1, 1), kEpoch));
  ASSERT_TRUE(one.table.use(client_at(1, 1, 2), kEpoch));

  EXPECT_FALSE(one.table.use(client_at(1, 1, 3), kEpoch));
  EXPECT_TRUE(one.table.use(client_at(1, 2, 1), kEpoch));
  EXPECT_FALSE(one.table.use(client_at(1, 3, 1), kEpoch));
  EXPECT_TRUE(one.table.use(client_at(2, 1, 1), kEpoch));
  EXPECT_TRUE(one.table.use(client_at(1, 1, 1), kEpoch));
}

TEST(HandleTable, FindsEveryLiveEntryThroughManyGenerations) {
  constexpr std::size_t kLive = 16;
  Fixture one({kLive, 0, 0});
  std::uint64_t next = kFirst;

  for (std::uint64_t epoch = kEpoch; epoch < kEpoch + 100; epoch += 2) {
    for (std::uint64_t i = 0; i < kLive; ++i) {
      ASSERT_EQ(one.table.use(client_at(epoch & 0xffff, i, i), epoch), next++);
    }
    for (std::uint64_t i = 0; i < kLive; ++i) {
      ASSERT_EQ(one.table.find(next - kLive + i, epoch), client_at(epoch & 0xffff, i, i));
    }
  }
}

TEST(HandleTable, WhatDiedStaysDeadWhenTheClockStepsBack) {
  Fixture one({8, 0, 0});
  ASSERT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst);
  ASSERT_TRUE(one.table.use(client_at(2, 2, 2), kEpoch + 2));

  EXPECT_FALSE(one.table.find(kFirst, kEpoch));
  EXPECT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst + 2);
}

TEST(HandleTable, OutlivesTheProcessThatUsedIt) {
  Fixture one({8, 0, 0});
  ASSERT_EQ(one.table.use(client_at(1, 1, 1), kEpoch), kFirst);

  HandleTable next = one.attach();

  EXPECT_EQ(next.find(kFirst, kEpoch), client_at(1, 1, 1));
  EXPECT_EQ(next.use(client_at(2, 2, 2), kEpoch), kFirst + 1);
}

TEST(HandleTable, RefusesMemoryOfAnotherSizeOrLayout) {
  const HandleLimits limits{8, 0, 0};
  AlignedMemory memory(HandleTable::bytes_needed(limits));
  EXPECT_FALSE(HandleTable::attach(memory.span().first(64), limits, kFirst));
  memory.span()[0] = std::byte{1};
  EXPECT_FALSE(HandleTable::attach(memory.span(), limits, kFirst));
}

TEST(HandleTable, AReaderBesideAWriterSeesWholeEntriesOnly) {
  Fixture one({4, 0, 0});
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> newest{0};
  std::atomic<std::size_t> torn{0};
  std::thread reader([&] {
    while (!is_over) {
      const std::uint64_t i = newest.load();
      const std::optional<Endpoint> found = one.table.find(kFirst + i, kEpoch + 2 * i);
      if (found && *found != client_at(i & 0xffff, i & 0xffff, i)) {
        ++torn;
      }
    }
  });

  for (std::uint64_t i = 0; i < 20'000; ++i) {
    ASSERT_EQ(one.table.use(client_at(i & 0xffff, i & 0xffff, i), kEpoch + 2 * i), kFirst + i);
    newest = i;
  }
  is_over = true;
  reader.join();

  EXPECT_EQ(torn, 0U);
}

}  // namespace
}  // namespace allium::onion
