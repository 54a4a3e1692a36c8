// SPDX-License-Identifier: Apache-2.0

// What a node's store has everything of, over networks that follow one another.

#include "control/service/internal/held_points.hpp"

#include <algorithm>
#include <set>

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
    held.update(network_of({kNoSwarm, kHere, kHere, kNoSwarm}), key_of(1), 1, kNow);
    held.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), 2, kNow);
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
  held.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), 2, later);
  EXPECT_TRUE(held.wanted().empty());
}

TEST_F(Gained, LacksTheSameWhereItComesBack) {
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), 3, kNow + 10);
  EXPECT_FALSE(is_whole());
  EXPECT_EQ(held.lacked_from(kTheirs, kNow), (std::vector<NodeKey>{key_of(2), key_of(3)}));

  HeldPoints again(held.text("store"), "store");
  again.update(network_of({kHere, kHere, kHere, kNoSwarm}), key_of(1), 4, kNow + 20);
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
  EXPECT_EQ(again.old_copies(kTheirs), (std::vector<OldCopy>{{kTheirs, kNow + 20}}));

  for (const Wanted& one : again.wanted()) {
    if (one.distance == 1 && one.source == key_of(2)) {
      EXPECT_EQ(one.since_ms, kNow);
      again.through(one, false, {key_of(3)}, kNow + 30);
    }
  }
  EXPECT_EQ(again.old_copies(kTheirs), (std::vector<OldCopy>{{kTheirs, kNow + 20}}))
      << "what came since the first time may be as old";
}

TEST_F(Gained, IsWholeForWhatItHadUntilOthersGotIt) {
  through(0, true);
  through(0, true);
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), 3, kNow + 10);
  EXPECT_TRUE(is_whole());
}

TEST(HeldPoints, AreNotWholeForWhatWasNeverTheirs) {
  HeldPoints held("", "store");
  held.update(network_of({kHere, kThere}), key_of(1), 1, kNow);
  for (const Wanted& one : held.strangers()) {
    held.stranger_through(one, kNow);
  }
  EXPECT_FALSE(held.is_whole(kTheirs, key_of(9), kNow));
  EXPECT_FALSE(held.has_had(kTheirs));
}

TEST_F(Gained, ComparesWhatItIsGivenWithThoseWhoHadItBefore) {
  const storage::Stamp before = storage::stamp_of(kNow - 1);
  const auto compared = [this] {
    std::set<NodeKey> keys;
    for (const Wanted& one : held.compared()) {
      EXPECT_EQ(one.distance, kComparedOnly);
      keys.insert(one.source);
    }
    return keys;
  };
  EXPECT_FALSE(held.given({}, storage::stamp_of(kNow + 60'000), kNow)) << "it was here itself";
  EXPECT_TRUE(held.given({}, before, kNow));
  EXPECT_EQ(compared(), (std::set<NodeKey>{key_of(2), key_of(3)}));
  EXPECT_FALSE(held.given({}, before, kNow + 1)) << "not with each message";
  held.has_had({key_of(4), {0, UINT64_MAX}});
  EXPECT_TRUE(held.given({}, before, kNow + 2)) << "but with who is new";
  EXPECT_EQ(compared(), (std::set<NodeKey>{key_of(2), key_of(3), key_of(4)}));
  EXPECT_TRUE(held.given({}, before, kNow + kComparedAfterMs));
  for (const Wanted& one : held.compared()) {
    EXPECT_EQ(one.since_ms, kNow + kComparedAfterMs);
    held.compared_with(one, kNow + 2 * kComparedAfterMs);
  }
  EXPECT_TRUE(compared().empty());
}

TEST_F(Gained, ComparesWithEverybodyWhereOneWhoHadItIsThereNoMore) {
  const NodeKey other = key_of(9);
  held.has_had({other, {0, UINT64_MAX}});
  EXPECT_TRUE(held.given({}, storage::stamp_of(kNow - 1), kNow));
  std::set<NodeKey> keys;
  for (const Wanted& one : held.compared()) {
    keys.insert(one.source);
  }
  EXPECT_EQ(keys, (std::set<NodeKey>{key_of(2), key_of(3), key_of(4)}));
  EXPECT_FALSE(held.is_whole(kTheirs, key_of(9), kNow));
  const std::vector<NodeKey> named = held.lacked_from({0, 0}, kNow);
  EXPECT_EQ(std::count(named.begin(), named.end(), key_of(4)), 0) << "who may have nothing of it";
}

/// As node 1 of a network of four in two swarms.
class InDoubt : public testing::Test {
 protected:
  static std::vector<NodeKey> strangers_of(const HeldPoints& held) {
    std::vector<NodeKey> keys;
    for (const Wanted& one : held.strangers()) {
      EXPECT_EQ(one.distance, kStranger);
      keys.push_back(one.source);
    }
    return keys;
  }

  static void settle(HeldPoints& held) {
    while (!held.wanted().empty()) {
      held.through(held.wanted().front(), true, {}, kNow);
    }
    while (!held.strangers().empty()) {
      held.stranger_through(held.strangers().front(), kNow);
    }
  }

  HeldPoints settled() {
    HeldPoints held("", "store");
    held.update(network, key_of(1), 5, kNow);
    settle(held);
    return held;
  }

  const std::shared_ptr<const ServiceNodes> network = network_of({kHere, kHere, kThere, kNoSwarm});
  const PointRange own = common_points(*network->swarms().points_of(kHere), {0, kHere}).front();
};

TEST_F(InDoubt, AsksEverybodyFromTheFirstNetworkOn) {
  HeldPoints held("", "store");
  held.update(network, key_of(1), 5, kNow);
  for (const Wanted& one : held.wanted()) {
    EXPECT_EQ(one.source, key_of(2));
  }
  const std::vector<NodeKey> strangers = strangers_of(held);
  EXPECT_EQ(std::set<NodeKey>(strangers.begin(), strangers.end()),
            (std::set<NodeKey>{key_of(3), key_of(4)}));
  EXPECT_TRUE(held.is_for_later(held.strangers().front(), kNow)) << "who is in the swarm is first";
  EXPECT_FALSE(held.old_copies(own).empty()) << "whatever is there may be an old copy";
  EXPECT_FALSE(held.is_whole(own, key_of(9), kNow));
  settle(held);
  EXPECT_TRUE(held.old_copies(own).empty());
  EXPECT_TRUE(held.is_whole(own, key_of(9), kNow));
}

TEST_F(InDoubt, AsksNobodyWhereItHasSeenAllNetworks) {
  HeldPoints held = settled();
  held.update(network, key_of(1), 5, kNow + 1);
  held.update(network, key_of(1), 6, kNow + 2);
  EXPECT_TRUE(held.wanted().empty());
  EXPECT_TRUE(held.strangers().empty());
  HeldPoints next(held.text("store"), "store");
  next.update(network, key_of(1), 7, kNow + 3);
  EXPECT_TRUE(next.strangers().empty());
  EXPECT_TRUE(next.old_copies(own).empty());
}

TEST_F(InDoubt, AsksEverybodyWhereItHasMissedANetwork) {
  HeldPoints held = settled();
  held.update(network, key_of(1), 7, kNow + 1);
  EXPECT_FALSE(held.strangers().empty());
  EXPECT_FALSE(held.wanted().empty());
  EXPECT_FALSE(held.old_copies(own).empty());
}

// They may be there under other keys.
TEST_F(InDoubt, AsksEverybodyWhereAllWhoHadThemAreGone) {
  HeldPoints held("", "store");
  held.update(network_of({kNoSwarm, kThere, kHere}), key_of(1), 1, kNow);
  held.update(network_of({kHere, kThere}), key_of(1), 2, kNow);
  EXPECT_FALSE(strangers_of(held).empty());
  HeldPoints other("", "store");
  other.update(network_of({kNoSwarm, kThere, kHere}), key_of(1), 1, kNow);
  other.update(network_of({kHere, kThere, kHere}), key_of(1), 2, kNow);
  EXPECT_TRUE(strangers_of(other).empty());
}

TEST_F(InDoubt, AsksEverybodyUnderAnotherKeyAndOfAnotherStore) {
  const std::string text = settled().text("store");
  HeldPoints of_another_store(text, "another");
  of_another_store.update(network, key_of(1), 5, kNow + 1);
  EXPECT_FALSE(of_another_store.strangers().empty());
  EXPECT_FALSE(of_another_store.old_copies(own).empty());
  HeldPoints under_another_key(text, "store");
  under_another_key.update(network_of({kNoSwarm, kHere, kThere, kNoSwarm, kHere}), key_of(5), 6,
                           kNow + 1);
  EXPECT_FALSE(under_another_key.strangers().empty());
  EXPECT_FALSE(under_another_key.old_copies(own).empty());
}

TEST_F(InDoubt, GoesOnAskingInTheNextProcess) {
  HeldPoints held("", "store");
  held.update(network, key_of(1), 5, kNow);
  HeldPoints next(held.text("store"), "store");
  next.update(network, key_of(1), 5, kNow + 1);
  EXPECT_EQ(strangers_of(next).size(), strangers_of(held).size());
}

TEST_F(InDoubt, AsksWhoComesMeanwhileAndNotWhoHasGone) {
  HeldPoints held("", "store");
  held.update(network, key_of(1), 5, kNow);
  held.update(network_of({kHere, kHere, kThere}), key_of(1), 6, kNow);
  const std::vector<NodeKey> without_four = strangers_of(held);
  EXPECT_EQ(std::count(without_four.begin(), without_four.end(), key_of(4)), 0);
  held.update(network_of({kHere, kHere, kThere, kThere, kThere}), key_of(1), 7, kNow);
  const std::vector<NodeKey> with_five = strangers_of(held);
  EXPECT_GT(std::count(with_five.begin(), with_five.end(), key_of(5)), 0);
}

TEST_F(InDoubt, AsksWhoDoesNotAnswerAfterTheOthers) {
  HeldPoints held("", "store");
  held.update(network, key_of(1), 5, kNow);
  const Wanted first = held.strangers().front();
  held.stranger_silent(first);
  EXPECT_NE(held.strangers().front(), first);
  EXPECT_EQ(held.strangers().back(), first);
  EXPECT_FALSE(held.is_whole(own, key_of(9), kNow + kSourceSilentMs - 1));
}

// Who has had them in between, but last, is none of those whom it knows.
TEST_F(InDoubt, AsksEverybodyAboutWhatComesBack) {
  HeldPoints held = settled();
  held.update(network_of({kThere, kHere, kThere, kNoSwarm}), key_of(1), 6, kNow + 1);
  EXPECT_TRUE(held.has_had(own)) << "it has a copy";
  settle(held);
  held.update(network, key_of(1), 7, kNow + 2);
  EXPECT_FALSE(held.strangers().empty());
  EXPECT_FALSE(held.old_copies(own).empty());
}

TEST_F(Gained, AsksEverybodyWhereThoseWhoHadThemAreSilent) {
  const Wanted first = held.wanted().at(0);
  EXPECT_FALSE(held.silent(first, kNow + kNearerFirstMs - 1));
  held.heard(first, kNow + kNearerFirstMs);
  EXPECT_FALSE(held.silent(first, kNow + kNearerFirstMs)) << "it is only slow";
  EXPECT_TRUE(held.strangers().empty());
  EXPECT_TRUE(held.silent(first, kNow + 2 * kNearerFirstMs));
  ASSERT_EQ(held.strangers().size(), 1U);
  EXPECT_EQ(held.strangers()[0].source, key_of(4));
  held.stranger_through(held.strangers()[0], kNow);
  EXPECT_FALSE(held.silent(first, kNow + 9 * kNearerFirstMs)) << "once";
}

TEST_F(Gained, AsksNobodyElseWhereOneOfThemHasGivenIt) {
  through(0, false);
  EXPECT_FALSE(held.silent(held.wanted().at(0), kNow + 2 * kNearerFirstMs));
  EXPECT_TRUE(held.strangers().empty());
}

TEST_F(Gained, AsksEverybodyWhereOneOfThemHasNeverKnownOfThem) {
  const NodeKey second = held.wanted().at(0).source;
  through(0, false, {key_of(9)});
  EXPECT_TRUE(held.strangers().empty());
  const NodeKey third = held.wanted().at(0).source;
  EXPECT_NE(third, second);
  through(0, false, {third});
  EXPECT_EQ(held.strangers().size(), 1U);
}

TEST_F(Gained, NamesItselfOfWhatItHasNeverKnownOf) {
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), 3, kNow + 10);
  EXPECT_EQ(held.lacked_from(kTheirs, kNow), (std::vector<NodeKey>{key_of(2), key_of(3)}));
  HeldPoints other("", "store");
  other.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), 3, kNow);
  EXPECT_EQ(other.lacked_from(kTheirs, kNow), (std::vector<NodeKey>{key_of(1)}));
}

TEST_F(Gained, AreTheSameInTheNextProcess) {
  held.update(network_of({kHere, kHere, kHere, kThere}), key_of(1), 3, kNow + 10);
  const std::string text = held.text("store");
  const HeldPoints next(text, "store");
  EXPECT_EQ(next.text("store"), text);
  EXPECT_TRUE(HeldPoints(text, "other").text("other").empty());
}

}  // namespace
}  // namespace allium::control::internal
