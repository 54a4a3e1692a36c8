// SPDX-License-Identifier: Apache-2.0

// Whose queue may be the only one that has something for this node.

#include "control/service/internal/queue_holders.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace allium::control::internal {
namespace {

constexpr std::uint64_t kNow = 1'800'000'000'000;
constexpr SwarmId kHere = 7;
constexpr SwarmId kThere = std::uint64_t{1} << 63;

NodeKey key_of(std::uint8_t number) {
  NodeKey key{};
  key[0] = number;
  return key;
}

struct Member {
  std::uint8_t number;
  SwarmId swarm;
};

ServiceNodes network_of(const std::vector<Member>& members) {
  std::vector<ServiceNode> nodes;
  for (const Member& member : members) {
    ServiceNode node;
    node.ed25519 = node.legacy = node.x25519 = key_of(member.number);
    node.swarm = member.swarm;
    nodes.push_back(node);
  }
  return ServiceNodes(std::move(nodes));
}

/// As node 1, with 2 and 3 in its swarm, 4 elsewhere.
class QueueHoldersOfOne : public testing::Test {
 protected:
  bool update(const ServiceNodes& network, std::uint64_t after_ms = 0) {
    return holders.update(network, key_of(1), kNow + after_ms);
  }

  void answers(std::uint8_t number, std::uint64_t after_ms = 0, bool can_take = true) {
    holders.answers(key_of(number), can_take, kNow + after_ms);
  }

  bool lost_its_store(std::uint8_t number, std::uint64_t after_ms = 0) {
    return holders.lost_its_store(key_of(number), kNow + after_ms);
  }

  const ServiceNodes all = network_of({{1, kHere}, {2, kHere}, {3, kHere}, {4, kThere}});
  const ServiceNodes without_3 = network_of({{1, kHere}, {2, kHere}, {4, kThere}});
  const ServiceNodes without_4 = network_of({{1, kHere}, {2, kHere}, {3, kHere}});
  QueueHolders holders;
};

TEST_F(QueueHoldersOfOne, OneThatWasThereAllTheTimeHasNoneQueued) {
  EXPECT_FALSE(update(all));
  answers(2);
  EXPECT_FALSE(lost_its_store(2));
  EXPECT_FALSE(update(without_3));
}

TEST_F(QueueHoldersOfOne, AfterItWasAwayEachOfItsSwarmMayBeOne) {
  holders.was_away(all, key_of(1));
  EXPECT_FALSE(update(all));
  EXPECT_FALSE(update(without_4));
  EXPECT_TRUE(lost_its_store(2));
  EXPECT_FALSE(lost_its_store(2)) << "it is asked for once";
  EXPECT_FALSE(lost_its_store(1)) << "not itself";
  EXPECT_TRUE(update(without_3));
  EXPECT_FALSE(update(without_3));
}

TEST_F(QueueHoldersOfOne, WhoHasAnsweredLongAgoHasHandedOver) {
  holders.was_away(all, key_of(1));
  EXPECT_FALSE(update(all));
  answers(2);
  answers(3, kHandedOverMs - 1);
  EXPECT_EQ(holders.may_owe(kNow + kHandedOverMs), std::vector<NodeKey>{key_of(3)});
  EXPECT_FALSE(lost_its_store(2, kHandedOverMs));
  EXPECT_TRUE(update(without_3, kHandedOverMs));
}

TEST_F(QueueHoldersOfOne, ADiskThatTakesNothingLeavesItWhereItIs) {
  EXPECT_FALSE(update(all));
  answers(2, 0, false);
  answers(3, 0, false);
  EXPECT_TRUE(lost_its_store(2, kHandedOverMs));
  answers(3, kHandedOverMs);
  EXPECT_TRUE(lost_its_store(3, 2 * kHandedOverMs - 1)) << "from when on the disk takes it";
}

TEST_F(QueueHoldersOfOne, WhoHearsOfNobodyIsAwayHimself) {
  EXPECT_FALSE(update(all));
  answers(2);
  answers(3);
  answers(2, kCutOffMs);
  EXPECT_FALSE(lost_its_store(3, kCutOffMs));
  answers(2, 2 * kCutOffMs + 1);
  EXPECT_TRUE(lost_its_store(3, 2 * kCutOffMs + 1));
}

TEST_F(QueueHoldersOfOne, WhoHearsOfNobodyWhenTheNetworkChangesWasAwayInTheOneBefore) {
  EXPECT_FALSE(update(all));
  answers(3);
  EXPECT_TRUE(update(without_3, kCutOffMs + 1));
}

TEST_F(QueueHoldersOfOne, WhoSaysThatHeQueuesIsOne) {
  EXPECT_FALSE(update(all));
  answers(4);
  holders.owes(key_of(4));
  EXPECT_TRUE(update(without_4, kHandedOverMs));
}

TEST_F(QueueHoldersOfOne, UnderItsEarlierKeyItIsNotItsOwnHolder) {
  holders.was_away(all, key_of(3));
  EXPECT_FALSE(update(all));
  EXPECT_FALSE(lost_its_store(3));
  EXPECT_TRUE(lost_its_store(1));
}

}  // namespace
}  // namespace allium::control::internal
