// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/bridge.hpp"

#include <map>
#include <random>

#include <gtest/gtest.h>

#include "dataplane/onion/internal/bounded_map.hpp"

namespace allium::onion {
namespace {

constexpr std::uint64_t kNow = 1'800'008'434'000;
constexpr std::uint64_t kLife = 600'000;

BridgeLeg leg_of(std::uint8_t owner, std::uint64_t until_ms = kNow + kLife) {
  BridgeLeg leg;
  leg.owner.fill(owner);
  leg.until_ms = until_ms;
  return leg;
}

TEST(Bridge, KeepsALegForItsLifeAndNoLonger) {
  Bridge bridge;
  ASSERT_EQ(bridge.add(7, leg_of(1), kNow), BridgeStatus::done);

  EXPECT_TRUE(bridge.find(7, kNow + kLife - 1));
  EXPECT_FALSE(bridge.find(7, kNow + kLife));
  EXPECT_FALSE(bridge.find(8, kNow));
}

TEST(Bridge, OnlyItsOwnerReplacesOrRemovesALiveLeg) {
  Bridge bridge;
  ASSERT_EQ(bridge.add(7, leg_of(1), kNow), BridgeStatus::done);

  EXPECT_EQ(bridge.add(7, leg_of(2), kNow), BridgeStatus::other_owner);
  EXPECT_EQ(bridge.remove(7, leg_of(2).owner, kNow), BridgeStatus::other_owner);
  EXPECT_EQ(bridge.find(7, kNow)->owner, leg_of(1).owner);
  EXPECT_EQ(bridge.add(7, leg_of(1, kNow + 2 * kLife), kNow), BridgeStatus::done);
  EXPECT_EQ(bridge.find(7, kNow)->until_ms, kNow + 2 * kLife);
  EXPECT_EQ(bridge.remove(7, leg_of(1).owner, kNow), BridgeStatus::done);
  EXPECT_EQ(bridge.remove(7, leg_of(1).owner, kNow), BridgeStatus::no_leg);
}

TEST(Bridge, ADeadLegBelongsToNobody) {
  Bridge bridge;
  ASSERT_EQ(bridge.add(7, leg_of(1), kNow), BridgeStatus::done);

  EXPECT_EQ(bridge.remove(7, leg_of(1).owner, kNow + kLife), BridgeStatus::no_leg);
  EXPECT_EQ(bridge.add(7, leg_of(2, kNow + 2 * kLife), kNow + kLife), BridgeStatus::done);
}

TEST(Bridge, IsFullOfLiveLegsAlone) {
  Bridge bridge;
  for (std::uint64_t cookie = 1; cookie <= Bridge::kLegsMax; ++cookie) {
    ASSERT_EQ(bridge.add(cookie, leg_of(1, kNow + cookie), kNow), BridgeStatus::done);
  }

  EXPECT_EQ(bridge.add(Bridge::kLegsMax + 1, leg_of(1), kNow), BridgeStatus::full);
  EXPECT_EQ(bridge.add(1, leg_of(1), kNow), BridgeStatus::done);
  EXPECT_EQ(bridge.add(Bridge::kLegsMax + 1, leg_of(1), kNow + 2), BridgeStatus::done);
  EXPECT_FALSE(bridge.find(2, kNow));
}

TEST(Bridge, NumbersAnswersBySegmentAndClass) {
  Bridge bridge;
  const std::uint64_t gen = (kNow / 1000) & 0x7fffffff;
  const Block first{1};
  const Block second{2};

  EXPECT_EQ(bridge.take_number(first, PacketClass::d, kNow), gen << 32);
  EXPECT_EQ(bridge.take_number(first, PacketClass::d, kNow + 5000), gen << 32 | 1);
  EXPECT_EQ(bridge.take_number(first, PacketClass::v, kNow + 5000), (gen + 5) << 32);
  EXPECT_EQ(bridge.take_number(second, PacketClass::d, kNow + 1000), (gen + 1) << 32);
}

TEST(Bridge, CountersOutliveTheirLegsAndGoWithTheirSegments) {
  constexpr std::uint64_t kSegmentLifeMs = 1'200'000;
  Bridge bridge;
  const auto segment = [](std::size_t i) {
    Block block{};
    store_be(block.data(), i, 8);
    return block;
  };
  for (std::size_t i = 0; i < Bridge::kNumberedMax; ++i) {
    ASSERT_TRUE(bridge.take_number(segment(i), PacketClass::d, kNow));
  }

  EXPECT_FALSE(bridge.take_number(segment(Bridge::kNumberedMax), PacketClass::d, kNow + 1));
  EXPECT_EQ(*bridge.take_number(segment(3), PacketClass::d, kNow + 1) & 0xffffffff, 1U);
  EXPECT_TRUE(
      bridge.take_number(segment(Bridge::kNumberedMax), PacketClass::d, kNow + kSegmentLifeMs));
}

// A hash that makes keys meet, so that erasing has to move entries.
struct PoorHash {
  std::uint64_t operator()(std::uint32_t key) const noexcept { return key % 5; }
};

TEST(BoundedMap, HoldsWhatAStdMapHolds) {
  constexpr std::size_t kCapacity = 20;
  internal::BoundedMap<std::uint32_t, std::uint32_t, PoorHash> map(kCapacity, PoorHash{});
  std::map<std::uint32_t, std::uint32_t> model;
  std::mt19937 random(1);

  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const auto key = static_cast<std::uint32_t>(random() % 40);
    switch (random() % 8) {
      case 0:
        map.erase_if([&](std::uint32_t value) { return value % 7 == 0; });
        std::erase_if(model, [](const auto& entry) { return entry.second % 7 == 0; });
        break;
      case 1:
      case 2:
      case 3:
        map.erase(key);
        model.erase(key);
        break;
      default:
        if (std::uint32_t* value = map.insert(key)) {
          *value = i;
          model[key] = i;
        } else {
          ASSERT_EQ(model.size(), kCapacity);
        }
    }
    ASSERT_EQ(map.size(), model.size());
    for (std::uint32_t other = 0; other < 40; ++other) {
      const std::uint32_t* found = map.find(other);
      ASSERT_EQ(found != nullptr, model.contains(other));
      ASSERT_TRUE(found == nullptr || *found == model[other]);
    }
  }
}

}  // namespace
}  // namespace allium::onion
