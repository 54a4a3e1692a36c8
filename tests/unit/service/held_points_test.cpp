// SPDX-License-Identifier: Apache-2.0

// What a node's store has everything of, over networks that follow one another.

#include "control/service/internal/held_points.hpp"

#include <gtest/gtest.h>

#include "storage/message_store.hpp"

namespace allium::control::internal {
namespace {

constexpr std::uint64_t kNow = 1'800'000'000'000;
constexpr SwarmId kHere = 7;
constexpr SwarmId kThere = std::uint64_t{1} << 63;
/// Of kThere where both are.
constexpr PointRange kTheirs{std::uint64_t{1} << 63, (std::uint64_t{1} << 63) + 5};

NodeKey key_of(std::uint8_t number) {
  NodeKey key{};
  key[0] = number;
  return key;
}

/// Nodes 1, 2, ... and their swarms.
std::shared_ptr<const ServiceNodes> network_of(const std::vector<SwarmId>& swarms) {
  std::vector<ServiceNode> nodes;
  for (const SwarmId swarm : swarms) {
    ServiceNode node;
    node.ed25519 = node.legacy = node.x25519 = key_of(static_cast<std::uint8_t>(nodes.size() + 1));
    node.swarm = swarm;
    nodes.push_back(node);
  }
  return std::make_shared<const ServiceNodes>(std::move(nodes));
}

/// As node 1, which was in no swarm and gets what nodes 2 and 3 had.
class Gained : public testing::Test {
 protected:
  void SetUp() override {
    held.update(network_of({kNoSwarm, kHere, kHere, kNoSwarm}), key_of(1), kNow);
    held.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), kNow);
    ASSERT_EQ(held.wanted().size(), 2U);
  }

  bool is_whole(std::uint8_t asker = 9, std::uint64_t after_ms = 0) {
    return held.is_whole(kTheirs, key_of(asker), kNow + after_ms);
  }

  void through(std::size_t place, bool is_all, const std::vector<NodeKey>& named = {}) {
    const Wanted one = held.wanted().at(place);
    held.through(one, is_all, named, kNow);
  }

  HeldPoints held{"", "store"};
};

TEST(Without, TakesPiecesOut) {
  constexpr std::uint64_t kLast = UINT64_MAX;
  EXPECT_EQ(without({{0, kLast}}, {{5, 9}}), (Points{{0, 4}, {10, kLast}}));
  EXPECT_EQ(without({{0, kLast}}, {{0, 9}, {kLast, kLast}}), (Points{{10, kLast - 1}}));
  EXPECT_EQ(without({{3, 5}}, {{6, 9}}), (Points{{3, 5}}));
  EXPECT_EQ(without({{3, 5}, {7, 8}}, {{2, 7}}), (Points{{8, 8}}));
  EXPECT_TRUE(without({{3, 5}}, {{0, kLast}}).empty());
}

TEST_F(Gained, IsWholeWithAllOfOneWhoIs) {
  EXPECT_FALSE(is_whole());
  through(0, true);
  EXPECT_TRUE(is_whole());
  // Whom this node has not heard need not believe that there is nothing more than it knows.
  EXPECT_FALSE(is_whole(3));
  ASSERT_EQ(held.wanted().size(), 1U);
  through(0, true);
  EXPECT_TRUE(is_whole(3));
}

TEST_F(Gained, IsWholeWithPartsOfAllOrOfWhoeverAnswers) {
  through(0, false);
  EXPECT_FALSE(is_whole());
  EXPECT_FALSE(is_whole(9, kSourceSilentMs - 1));
  EXPECT_TRUE(is_whole(9, kSourceSilentMs)) << "who is dead from the start does not count for ever";
  held.heard(held.wanted().at(0), kNow + kSourceSilentMs);
  EXPECT_FALSE(is_whole(9, kSourceSilentMs)) << "it was only slow";
  through(0, false);
  EXPECT_TRUE(is_whole());
}

TEST_F(Gained, IsNeverWholeWithNobody) {
  EXPECT_FALSE(is_whole(9, kSourceSilentMs * 100));
}

TEST_F(Gained, AsksWhoeverIsNamedLater) {
  through(0, false, {key_of(4), key_of(1), key_of(3), key_of(8)});
  const std::vector<Wanted> wanted = held.wanted();
  ASSERT_EQ(wanted.size(), 2U) << "no more than once, not itself, nobody who is not there";
  EXPECT_EQ(wanted[1].source, key_of(4));
  EXPECT_TRUE(held.is_for_later(wanted[1], kNow));
  EXPECT_FALSE(held.is_for_later(wanted[0], kNow));
  EXPECT_FALSE(held.is_for_later(wanted[1], kNow + kNearerFirstMs));
  through(0, true);
  EXPECT_TRUE(held.wanted().empty()) << "that one had it all";
}

TEST_F(Gained, IsWhollyForgottenWithWhatItLacksAfterALife) {
  const std::uint64_t later = kNow + storage::kLifeMsMax + 1;
  held.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), later);
  EXPECT_TRUE(held.wanted().empty());
}

TEST_F(Gained, LacksTheSameWhereItComesBack) {
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), kNow + 10);
  EXPECT_FALSE(is_whole());
  EXPECT_EQ(held.whole_until_ms(kTheirs.first), kNow + 10);
  EXPECT_EQ(held.whole_until_ms(kHere), UINT64_MAX);
  EXPECT_EQ(held.lacked_from(kTheirs, kNow), (std::vector<NodeKey>{key_of(2), key_of(3)}));

  HeldPoints again(held.text("store"), "store");
  again.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), kNow + 20);
  std::size_t far = 0;
  for (const Wanted& one : again.wanted()) {
    if (common_points(one.points, kTheirs).empty()) {
      continue;
    }
    EXPECT_EQ(one.distance, one.source == key_of(4) ? 0U : 1U);
    EXPECT_EQ(again.is_for_later(one, kNow + 20), one.distance == 1);
    far += one.distance;
  }
  EXPECT_EQ(far, 2U);
  EXPECT_EQ(again.old_copies(kTheirs), (std::vector<HeldPoints::Copy>{{kTheirs, kNow + 20}}));
}

TEST_F(Gained, IsWholeForWhatItHadUntilOthersGotIt) {
  through(0, true);
  through(0, true);
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), kNow + 10);
  EXPECT_TRUE(is_whole());
  EXPECT_EQ(held.whole_until_ms(kTheirs.first), kNow + 10);
}

TEST(HeldPoints, AreNotWholeForWhatWasNeverTheirs) {
  HeldPoints held("", "store");
  held.update(network_of({kHere, kThere}), key_of(1), kNow);
  held.through(held.wanted().at(0), true, {}, kNow);
  EXPECT_FALSE(held.is_whole(kTheirs, key_of(9), kNow));
  EXPECT_EQ(held.whole_until_ms(kTheirs.first), 0U);
}

TEST_F(Gained, AreTheSameInTheNextProcess) {
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), kNow + 10);
  const std::string text = held.text("store");
  const HeldPoints next(text, "store");
  EXPECT_EQ(next.text("store"), text);
  EXPECT_TRUE(HeldPoints(text, "other").text("other").empty());
}

}  // namespace
}  // namespace allium::control::internal
