// SPDX-License-Identifier: Apache-2.0

// Swarms that move while nodes are away, start again, or come anew: who has not seen every network asks everybody.

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/replica_fetch.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

const SwarmId kHere = 7;
const SwarmId kFar = std::uint64_t{1} << 62;
const SwarmId kElsewhere = std::uint64_t{1} << 63;

/// Nodes 0 to 2 have an account, and one message of it.
class Moving : public testing::Test {
 protected:
  Moving() {
    world.assign({kHere, kHere, kHere});
    world.run(10'000);
    world.call(0, "store", owner.store("one", world.now_ms));
  }

  void start_again(std::size_t node) {
    world.node(node).restart();
    world.start(node);
  }

  void say_of_subaccount(std::size_t node, const std::string& method, const std::string& field) {
    const std::string token(36, 't');
    const Answer answer = world.call(
        node, method,
        owner.signed_params(method + std::to_string(world.now_ms) + token,
                            {{field, to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
    EXPECT_EQ(answer.status, Status::ok);
  }

  void expect_at(const std::vector<std::size_t>& nodes, const std::vector<std::string>& data) {
    for (const std::size_t node : nodes) {
      EXPECT_EQ(sorted_data(world, node, owner), data) << node;
    }
  }

  SwarmWorld world{3};
  const TestAccount owner{5, 1};
};

TEST_F(Moving, NewMachinesAreGivenWhatThoseWhoLeaveHave) {
  for (int i = 0; i < 3; ++i) {
    world.add_node();
  }
  world.assign({kNoSwarm, kNoSwarm, kNoSwarm, kHere, kHere, kHere});
  world.run(20'000);
  expect_at({3, 4, 5}, {"one"});
  world.call(4, "store", owner.store("two", world.now_ms));
  world.assign({kHere, kHere, kHere, kNoSwarm, kNoSwarm, kNoSwarm});
  world.run(20'000);
  expect_at({0, 1, 2}, {"one", "two"});
}

TEST_F(Moving, TakingItBackAtOnceLosesNothing) {
  for (int i = 0; i < 3; ++i) {
    world.add_node();
    world.node(world.size() - 1).silent_on = {"sn.data", "sn.allium_late"};
  }
  world.assign({kNoSwarm, kNoSwarm, kNoSwarm, kHere, kHere, kHere});
  world.run(10);
  world.assign({kHere, kHere, kHere, kNoSwarm, kNoSwarm, kNoSwarm});
  world.run(60'000);
  expect_at({0, 1, 2}, {"one"});
}

TEST_F(Moving, WhoStartsAgainOverTheNewNetworkHandsOverAsWell) {
  world.add_node();
  world.node(3).silent_on = {"sn.allium_fetch"};  // nobody asks: it is given
  world.assign({kFar, kFar, kFar, kHere}, {0, 1, 2});
  for (std::size_t node = 0; node < 3; ++node) {
    start_again(node);
  }
  world.run(20'000);
  std::size_t swarm_of_owner = 0;
  for (std::size_t node = 0; node < 4; ++node) {
    if (world.node(node).membership.is_ours(owner.account())) {
      expect_at({node}, {"one"});
      ++swarm_of_owner;
    }
  }
  EXPECT_GT(swarm_of_owner, 0U);
}

// The accounts were others' while their owners did not look, who are told only that they are theirs.
TEST_F(Moving, WhatWasStoredMeanwhileIsFoundByWhoMissedIt) {
  world.add_node();
  world.assign({kNoSwarm, kNoSwarm, kNoSwarm, kHere}, {0, 1, 2});
  world.run(10'000);
  world.call(3, "store", owner.store("meanwhile", world.now_ms));
  world.node(3).is_up = false;
  world.assign({kHere, kHere, kHere, kElsewhere}, {3});
  start_again(3);
  world.run(1'000);
  expect_at({0, 1, 2}, {"one"});
  world.node(3).is_up = true;
  world.run(60'000);
  expect_at({0, 1, 2}, {"meanwhile", "one"});
}

/// Node 0 is in no swarm while something is deleted, and those who know of it remember no command.
class OutForATime : public Moving {
 protected:
  void SetUp() override {
    const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
    world.assign({kNoSwarm, kHere, kHere}, {0});
    world.run(1'000);
    world.call(1, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    for (const std::size_t node : {1U, 2U}) {
      start_again(node);
    }
    expect_at({0}, {"deleted", "one"});
    expect_at({1, 2}, {"one"});
  }
};

TEST_F(OutForATime, HasNothingThatWasDeletedMeanwhile) {
  world.assign({kHere, kHere, kHere});
  world.run(20'000);
  expect_at({0, 1, 2}, {"one"});
}

TEST_F(OutForATime, HasNothingThatWasDeletedWhereItsWordOfTheNetworkIsLost) {
  world.node(0).held.clear();
  world.node(0).restart();
  world.assign({kHere, kHere, kHere});
  world.run(20'000);
  expect_at({0, 1, 2}, {"one"});
}

// Who comes back first hears of the deletion, and then is given the others' old copies.
TEST_F(Moving, WhatWasDeletedStaysDeletedHoweverManyComeBack) {
  for (int i = 0; i < 3; ++i) {
    world.add_node();
  }
  world.assign(std::vector<SwarmId>(6, kHere));
  world.run(60'000);
  const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
  say_of_subaccount(0, "revoke_subaccount", "revoke");
  std::vector<SwarmId> apart(6, kElsewhere);
  apart[0] = kHere;
  world.assign(apart);
  world.run(20'000);
  world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  say_of_subaccount(0, "unrevoke_subaccount", "unrevoke");
  expect_at({0}, {"one"});
  start_again(0);
  world.run(20'000);
  world.assign(std::vector<SwarmId>(6, kHere), {2, 3, 4, 5});
  world.run(3'000);
  expect_at({1}, {"one"});
  world.node(0).silent_on = {"sn.allium_fetch"};
  for (const std::size_t node : {2U, 3U, 4U, 5U}) {
    world.tell(node);
  }
  world.run(60'000);
  world.node(0).silent_on.clear();
  world.run(120'000);
  expect_at({0, 1, 2, 3, 4, 5}, {"one"});
  for (std::size_t node = 0; node < world.size(); ++node) {
    EXPECT_EQ(world.node(node).fetch().counters().parts_open, 0U) << node;
    EXPECT_TRUE(world.node(node).store().revoked(owner.account())->empty()) << node;
  }
}

// It was away while something was deleted, and is not of that swarm any more when it comes back; the new member knows of no deletion.
TEST_F(Moving, WhoWasReplacedBringsNothingBack) {
  world.add_node();
  world.assign({kHere, kHere, kHere, kElsewhere});
  world.run(20'000);
  const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
  world.node(2).is_up = false;
  world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  start_again(0);
  start_again(1);
  world.run(20'000);
  world.assign({kHere, kHere, kElsewhere, kHere}, {2});
  world.run(20'000);
  expect_at({0, 1, 3}, {"one"});
  world.node(2).is_up = true;
  start_again(2);
  world.tell(2);
  world.run(60'000);
  expect_at({0, 1, 3}, {"one"});
  for (std::size_t node = 0; node < world.size(); ++node) {
    EXPECT_EQ(world.node(node).fetch().counters().parts_open, 0U) << node;
  }
}

/// Node 0 was away while node 1 deleted something, and is in no swarm any more when it comes back.
class Replaced : public Moving {
 protected:
  void SetUp() override {
    world.add_node();
    world.add_node();
    world.assign({kHere, kHere, kElsewhere, kNoSwarm, kElsewhere}, {3});
    world.run(20'000);
    const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
    world.node(0).is_up = false;
    world.call(1, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    start_again(1);
    world.run(20'000);
    // Node 3 sees its first network.
    world.assign({kNoSwarm, kElsewhere, kElsewhere, kHere, kElsewhere}, {0});
    world.run(20'000);
    expect_at({3}, {"one"});
  }

  void come_back() {
    world.node(0).is_up = true;
    start_again(0);
  }
};

TEST_F(Replaced, BringsNothingBackToOneWhoComesNew) {
  come_back();
  world.run(60'000);
  expect_at({3}, {"one"});
}

TEST_F(Replaced, BringsNothingBackToTheNextOwner) {
  world.node(1).is_up = false;
  come_back();
  world.run(10'000);
  expect_at({3}, {"deleted", "one"});
  world.assign({kNoSwarm, kElsewhere, kElsewhere, kElsewhere, kHere});
  world.run(20'000);
  expect_at({4}, {"deleted", "one"});
  world.node(1).is_up = true;
  world.run(120'000);
  expect_at({4}, {"one"});
}

/// What node 1 missed while it was away, node 2 has for it alone.
class Owed : public Moving {
 protected:
  void SetUp() override {
    for (std::size_t node = 0; node < world.size(); ++node) {
      world.start(node);
    }
    world.run(120'000);
    const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
    world.run(1'000);
    world.node(1).is_up = false;
    world.call(2, "store", owner.store("missed", world.now_ms));
    world.call(2, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    world.run(60'000);
    expect_at({0, 2}, {"missed", "one"});
  }

  void back() {
    world.node(1).is_up = true;
    start_again(1);
    world.run(60'000);
  }
};

TEST_F(Owed, ComesFromTheOthersWhereThatOneHasLeftTheNetwork) {
  world.node(2).is_up = false;
  world.assign({kHere, kHere}, {1});
  back();
  expect_at({0, 1}, {"missed", "one"});
}

TEST_F(Owed, ComesFromTheOthersWhereThatOneLeavesTheNetworkLater) {
  world.node(2).is_up = false;
  back();
  expect_at({1}, {"deleted", "one"});
  world.assign({kHere, kHere});
  world.run(60'000);
  expect_at({0, 1}, {"missed", "one"});
}

TEST_F(Owed, ComesFromTheOthersAlsoToOneThatWasCutOff) {
  world.node(2).is_up = false;
  world.assign({kHere, kHere}, {1});
  world.node(1).is_up = true;
  world.tell(1);
  world.run(60'000);
  expect_at({0, 1}, {"missed", "one"});
}

TEST_F(Owed, ComesFromTheOthersWhereItCouldNotTakeIt) {
  world.node(1).store().failure = Error{Errc::io, "nothing can be written"};
  world.node(1).store().says = storage::StoreStatus{.is_broken = true};
  world.node(1).is_up = true;
  world.run(300'000);
  world.node(2).is_up = false;
  world.assign({kHere, kHere});
  world.node(1).store().failure.reset();
  world.node(1).store().says.reset();
  world.run(60'000);
  expect_at({0, 1}, {"missed", "one"});
}

// Node 2 keeps what node 0 could not write for a moment, and leaves before it has handed it over.
TEST_F(Moving, WhatOneKeptThatHasLeftComesFromTheOthers) {
  for (std::size_t node = 0; node < world.size(); ++node) {
    world.start(node);
  }
  world.run(200'000);
  world.node(1).is_of_our_kind = false;
  world.node(0).store().failure = Error{Errc::io, "nothing can be written"};
  EXPECT_EQ(world.call(0, "store", owner.store("missed", world.now_ms)).status, Status::ok);
  world.node(0).store().failure.reset();
  world.node(1).is_of_our_kind = true;
  world.node(2).is_up = false;
  world.assign({kHere, kHere});
  world.run(60'000);
  expect_at({0, 1}, {"missed", "one"});
}

TEST_F(Owed, ComesFromTheOthersWhereThatOneHasLostItsStore) {
  world.node(2).restart_empty();
  world.node(2).held.clear();
  world.start(2);
  world.run(10'000);
  back();
  expect_at({0, 1, 2}, {"missed", "one"});
}

TEST_F(Owed, ComesFromThatOneAndNobodyIsAskedForMore) {
  back();
  expect_at({0, 1, 2}, {"missed", "one"});
  EXPECT_EQ(world.node(1).fetch().counters().pages, 0U);
  world.run(2 * internal::kHandedOverMs);
  world.assign({kHere, kHere});
  world.run(60'000);
  EXPECT_EQ(world.node(1).fetch().counters().pages, 0U);
}

// Who deleted it has neither the accounts now nor had them last.
TEST_F(Moving, WhatWasDeletedTwoOwnersAgoStaysDeleted) {
  world.add_node();
  world.add_node();
  const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
  world.assign({kNoSwarm, kNoSwarm, kNoSwarm, kHere, kNoSwarm});
  world.run(20'000);
  expect_at({3}, {"deleted", "one"});
  world.call(3, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  world.assign({kNoSwarm, kNoSwarm, kNoSwarm, kNoSwarm, kHere});
  world.run(20'000);
  expect_at({4}, {"one"});
  for (const std::size_t node : {3U, 4U}) {
    start_again(node);
  }
  world.assign({kHere, kHere, kHere, kNoSwarm, kNoSwarm});
  world.run(20'000);
  expect_at({0, 1, 2}, {"one"});
}

/// Node 4 was away while node 0 deleted something, and is no node any more; node 1 has had it all right since.
class TwoOwnersAgo : public Moving {
 protected:
  void SetUp() override {
    for (int i = 0; i < 2; ++i) {
      world.add_node();
    }
    world.assign({kHere, kElsewhere, kElsewhere, kElsewhere, kHere});
    world.run(20'000);
    const Answer kept = world.call(0, "store", owner.store("deleted", world.now_ms));
    world.node(4).is_up = false;
    world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    start_again(0);
    world.run(20'000);
    assign({kElsewhere, kHere, kElsewhere, kElsewhere});
    expect_at({1}, {"one"});
  }

  void assign(const std::vector<SwarmId>& swarms) {
    world.assign(swarms, {4});
    world.run(30'000);
  }

  void come_back(std::vector<SwarmId> swarms) {
    swarms.push_back(kElsewhere);
    world.assign(swarms, {4});
    world.node(4).is_up = true;
    start_again(4);
    world.tell(4);
    world.run(60'000);
  }
};

TEST_F(TwoOwnersAgo, BringsNothingBackToWhoJoinsTheLastOne) {
  assign({kElsewhere, kHere, kHere, kElsewhere});
  come_back({kElsewhere, kHere, kHere, kElsewhere});
  expect_at({1, 2}, {"one"});
}

TEST_F(TwoOwnersAgo, BringsNothingBackToWhoTakesOverFromTheLastOne) {
  assign({kElsewhere, kElsewhere, kHere, kElsewhere});
  start_again(1);
  assign({kElsewhere, kElsewhere, kElsewhere, kHere});
  come_back({kElsewhere, kElsewhere, kElsewhere, kHere});
  expect_at({3}, {"one"});
}

TEST_F(Moving, StrangersThatAreDeadAreAskedWhenTheyAreBack) {
  for (int i = 0; i < 12; ++i) {
    world.add_node();
    world.node(world.size() - 1).is_up = i >= 10;
  }
  std::vector<SwarmId> swarms(world.size(), kElsewhere);
  swarms[0] = swarms[1] = swarms[2] = kNoSwarm;
  swarms[13] = kHere;
  world.assign(swarms);
  world.run(120'000);
  expect_at({13}, {"one"});
  EXPECT_GT(world.node(13).fetch().counters().parts_open, 0U);
  for (std::size_t node = 3; node < 13; ++node) {
    world.node(node).is_up = true;
  }
  world.run(60'000);
  EXPECT_EQ(world.node(13).fetch().counters().parts_open, 0U);
}

// It was away while the revocation was taken back, and who takes its place asks it as well.
TEST_F(Moving, ARevocationThatWasTakenBackStaysSo) {
  world.add_node();
  world.assign({kHere, kHere, kElsewhere, kElsewhere});
  world.run(20'000);
  say_of_subaccount(0, "revoke_subaccount", "revoke");
  world.run(1'000);
  world.node(1).is_up = false;
  say_of_subaccount(0, "unrevoke_subaccount", "unrevoke");
  start_again(0);
  world.run(20'000);
  world.assign({kHere, kElsewhere, kHere, kElsewhere}, {1});
  world.run(20'000);
  world.node(1).is_up = true;
  start_again(1);
  world.run(60'000);
  for (const std::size_t node : {0U, 2U}) {
    EXPECT_TRUE(world.node(node).store().revoked(owner.account())->empty()) << node;
  }
}

// Node 1 was away while node 0 stored something, and does not have it yet when it is asked for all there is.
TEST_F(Moving, WhoMayBeOwedSomethingSaysWhoMayHaveIt) {
  world.add_node();
  world.assign({kHere, kHere, kElsewhere, kElsewhere});
  world.run(120'000);
  world.node(1).is_up = false;
  world.call(0, "store", owner.store("missed", world.now_ms));
  world.node(0).is_up = false;
  world.node(1).is_up = true;
  start_again(1);
  world.run(10'000);
  world.assign({kElsewhere, kElsewhere, kHere, kElsewhere}, {0});
  world.run(30'000);
  expect_at({2}, {"one"});
  world.node(2).is_up = false;
  world.node(0).is_up = true;
  world.tell(0);
  world.run(1'000);
  world.assign({kElsewhere, kElsewhere, kElsewhere, kHere}, {2});
  world.node(2).is_up = true;
  world.tell(2);
  world.run(60'000);
  expect_at({3}, {"missed", "one"});
}

/// Documents follow one another faster than machines hear of them: node 3 gets what nodes 0 to 2 had, and hands over nothing before
/// node 4 gets it.
class InHaste : public Moving {
 protected:
  void SetUp() override {
    world.add_node();
    world.add_node();
    world.assign({kHere, kHere, kHere, kElsewhere, kElsewhere});
    world.run(20'000);
  }

  void assign(SwarmId middle, SwarmId last, const std::set<std::size_t>& late) {
    world.assign({kElsewhere, kElsewhere, kElsewhere, middle, last}, late);
  }
};

TEST_F(InHaste, WhoIsAheadDoesNotTellWhoIsBehindThatThereIsNothing) {
  world.node(3).silent_on = {"sn.data", "sn.allium_late"};
  for (const std::size_t node : {0U, 1U, 2U}) {
    world.node(node).silent_on = {"sn.allium_fetch"};
  }
  assign(kHere, kElsewhere, {});
  world.run(1'000);
  assign(kElsewhere, kHere, {3});
  for (const std::size_t node : {0U, 1U, 2U}) {
    world.node(node).silent_on.clear();
  }
  world.run(30'000);
  EXPECT_GT(world.node(3).fetch().counters().parts_open, 0U);
  world.tell(3);
  world.run(30'000);
  expect_at({4}, {"one"});
}

TEST_F(InHaste, WhoHasNeverKnownOfThemSaysSo) {
  assign(kHere, kElsewhere, {3});
  world.run(3'000);
  assign(kElsewhere, kHere, {});
  world.run(30'000);
  expect_at({4}, {"one"});
}

TEST_F(InHaste, WhoHadThemBeforeIsAskedWhereTheLastOneIsSilent) {
  world.node(3).is_up = false;
  assign(kHere, kElsewhere, {3});
  world.run(3'000);
  assign(kElsewhere, kHere, {3});
  world.run(2 * internal::kNearerFirstMs);
  expect_at({4}, {"one"});
}

}  // namespace
}  // namespace allium::control::test
