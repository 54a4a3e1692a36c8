// SPDX-License-Identifier: Apache-2.0

// Nodes that come to the messages of their swarm although nobody could push them: who learn late, were away, or have a new disk.

#include "control/service/replica_fetch.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/message_hash.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

const SwarmId kOther = std::uint64_t{1} << 63;

/// `count` accounts with a message each, at a node that they belong to.
std::vector<TestAccount> stored_accounts(SwarmWorld& world, std::uint8_t count) {
  std::vector<TestAccount> accounts;
  for (std::uint8_t n = 1; n <= count; ++n) {
    const TestAccount& account = accounts.emplace_back(3, n);
    std::size_t entry = 0;
    while (!world.node(entry).membership.is_ours(account.account())) {
      ++entry;
    }
    world.call(entry, "store", account.store("mail", world.now_ms));
  }
  return accounts;
}

TEST(LateMember, WhoLearnsOfItsSwarmAfterAllOthersHasItsMessages) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  world.add_node();
  world.assign({7, 7, 7}, {2});
  world.run(8'000);
  EXPECT_FALSE(world.node(2).membership.is_ready());
  world.tell(2);
  world.run(10'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(world.node(2).fetch().counters().parts_open, 0U);
}

TEST(MemberThatComesBack, HasNothingOfWhatWasDeletedMeanwhile) {
  SwarmWorld world(3);
  world.run(10'000);
  const TestAccount owner(5, 1);
  const std::string token(36, 't');
  const auto say = [&](const std::string& what) {
    const std::string now = std::to_string(world.now_ms);
    world.call(0, what + "_subaccount",
               owner.signed_params(what + "_subaccount" + now + token,
                                   {{what, to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
  };
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  say("revoke");
  world.run(1'000);
  for (const SwarmId elsewhere : {kNoSwarm, kOther}) {
    world.assign({7, 7, elsewhere});
    world.run(10'000);
    world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    world.call(0, "store", owner.store("two", world.now_ms));
    say("unrevoke");
    world.run(1'000);
    world.assign({7, 7, 7});
    world.run(20'000);
    EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"two"});
    EXPECT_TRUE(world.node(2).store().revoked(owner.account())->empty());
  }
}

TEST(MemberThatComesBack, HasWhatWasStoredAgainAfterAllHadBeenDeletedOrShortened) {
  for (const bool is_deleted : {true, false}) {
    SwarmWorld world(3);
    const TestAccount owner(5, 1);
    world.call(0, "store", owner.store("one", world.now_ms));
    const std::string at = std::to_string(is_deleted ? world.now_ms : world.now_ms + 600'000);
    if (is_deleted) {
      world.call(0, "delete_all",
                 owner.signed_params("delete_all" + at, {{"timestamp", world.now_ms}}));
    } else {
      world.call(0, "expire_all",
                 owner.signed_params("expire_all" + at, {{"expiry", world.now_ms + 600'000}}));
    }
    world.run(1'000);
    world.assign({7, 7, kNoSwarm});
    world.run(10'000);
    const Answer again = world.call(0, "store", owner.store("one", world.now_ms));
    const std::string hash(again.body.at("hash").as_string());
    world.run(1'000);
    world.assign({7, 7, 7});
    world.run(20'000);
    const auto there = world.node(0).store().expiries(owner.account(), {hash}, world.now_ms);
    const auto back = world.node(2).store().expiries(owner.account(), {hash}, world.now_ms);
    ASSERT_EQ(there->size(), 1U);
    EXPECT_EQ(*back, *there) << is_deleted;
  }
}

TEST(MemberWithANewDisk, IsToldOfWhatWasDeletedOrShortenedByTheMemberWhoGaveIt) {
  SwarmWorld world(4);
  world.run(10'000);
  const TestAccount owner(5, 1);
  const auto stored = [&](const char* text) {
    const Answer kept = world.call(0, "store", owner.store(text, world.now_ms));
    return std::string(kept.body.at("hash").as_string());
  };
  const std::string hash = stored("one");
  const std::string shortened = stored("two");
  // Nodes 0 and 1 cannot reach node 2, which so has the message still when node 3 with its new disk asks it.
  world.node(2).is_up = false;
  world.call(0, "delete", owner.remove({hash}));
  const std::uint64_t short_ms = world.now_ms + 300'000;
  world.call(
      0, "expire",
      owner.signed_params(
          "expireshorten" + std::to_string(short_ms) + shortened,
          {{"messages", json::array{shortened.c_str()}}, {"expiry", short_ms}, {"shorten", true}}));
  world.node(0).is_up = false;
  world.node(1).is_up = false;
  world.node(2).is_up = true;
  world.node(3).restart_empty();
  world.start(3);
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 3, owner), (std::vector<std::string>{"one", "two"}));
  world.node(0).is_up = true;
  world.run(60'000);
  for (std::size_t node = 2; node < 4; ++node) {
    EXPECT_EQ(sorted_data(world, node, owner), std::vector<std::string>{"two"}) << node;
    const auto expiries = world.node(node).store().expiries(owner.account(), {shortened}, 0);
    EXPECT_EQ(expiries->at(0).expiry_ms, short_ms) << node;
  }
}

TEST(MemberWithANewDisk, KnowsOfAStoreThatItCameAfterADeletion) {
  SwarmWorld world(3);
  world.run(10'000);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  world.node(2).is_up = false;
  world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  world.run(1'000);
  world.node(0).is_up = false;
  world.node(2).is_up = true;
  world.run(10'000);
  world.call(1, "store", owner.store("one", world.now_ms));
  world.node(2).restart_empty();
  world.start(2);
  world.run(30'000);
  ASSERT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});

  // Node 0 has the deletion for node 2 still.
  world.node(0).is_up = true;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
}

TEST(MemberWithANewDisk, KnowsWhoIsRevoked) {
  SwarmWorld world(2);
  world.run(10'000);
  const TestAccount owner(5, 1);
  const std::string token(36, 't');
  const std::string now = std::to_string(world.now_ms);
  world.call(
      0, "revoke_subaccount",
      owner.signed_params("revoke_subaccount" + now + token,
                          {{"revoke", to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
  world.node(1).restart_empty();
  world.start(1);
  world.run(10'000);
  EXPECT_EQ(world.node(1).store().revoked(owner.account())->size(), 1U);
}

TEST(LateMember, WhoLearnsBeforeTheOthersAsksUntilTheyKnow) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  world.add_node();
  world.assign({7, 7, 7}, {0, 1});
  world.run(8'000);
  EXPECT_EQ(world.node(2).fetch().counters().parts_open, 2U);
  world.tell(0);
  world.tell(1);
  world.run(20'000);
  EXPECT_EQ(world.node(2).fetch().counters().parts_open, 0U);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
}

TEST(LateMember, OfAGrowingSwarmHasTheAccountsThatCameToIt) {
  SwarmWorld world(4);
  world.assign({7, 7, kOther, kOther});
  world.run(1'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 30);
  world.assign({7, 7, 7, 7}, {1});
  world.run(8'000);
  world.tell(1);
  world.run(30'000);
  for (const TestAccount& account : accounts) {
    EXPECT_EQ(sorted_data(world, 1, account), std::vector<std::string>{"mail"});
  }
}

TEST(AbsentMember, FetchesWhatCameToItsSwarmWhileItWasAway) {
  SwarmWorld world(4);
  world.assign({7, 7, kOther, kOther});
  world.run(1'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 30);
  // All of them stop. Nobody sees the swarm end, and nobody remembers a push.
  world.assign({7, 7, 7, 7}, {0, 1, 2, 3});
  for (std::size_t node = 0; node < 4; ++node) {
    world.node(node).restart();
  }
  for (std::size_t node = 0; node < 4; ++node) {
    world.start(node);
  }
  world.run(30'000);
  for (const TestAccount& account : accounts) {
    for (std::size_t node = 0; node < 4; ++node) {
      EXPECT_EQ(sorted_data(world, node, account), std::vector<std::string>{"mail"}) << node;
    }
  }
}

TEST(NewSwarm, KeepsWhatClientsStoredWhileItFetchedAlsoWhereItStartsAgain) {
  SwarmWorld world(4);
  world.assign({7, 7, kNoSwarm, kNoSwarm});
  world.run(30'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 30);
  world.run(1'000);
  for (std::size_t node = 0; node < 4; ++node) {
    world.node(node).silent_on = {node < 2 ? "sn.allium_fetch" : "sn.allium_late"};
  }
  world.assign({7, 7, kOther, kOther});
  world.run(1'000);
  std::size_t moved = 0;
  for (const TestAccount& account : accounts) {
    if (world.node(2).membership.is_ours(account.account())) {
      world.call(2, "store", account.store("news", world.now_ms));
      ++moved;
    }
  }
  ASSERT_GT(moved, 0U);
  world.run(1'000);
  for (std::size_t node = 0; node < 4; ++node) {
    world.node(node).silent_on = {};
  }
  for (std::size_t node = 2; node < 4; ++node) {
    world.node(node).restart();
    world.start(node);
  }
  world.run(60'000);
  for (const TestAccount& account : accounts) {
    for (std::size_t node = 2; node < 4; ++node) {
      if (world.node(node).membership.is_ours(account.account())) {
        EXPECT_EQ(sorted_data(world, node, account), (std::vector<std::string>{"mail", "news"}))
            << node;
      }
    }
  }
}

TEST(NewSwarm, KeepsWhatItWasHandedBeforeAnybodyHasAnswered) {
  SwarmWorld world(4);
  world.assign({7, 7, kNoSwarm, kNoSwarm});
  world.run(30'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 30);
  world.run(1'000);
  world.node(0).silent_on = world.node(1).silent_on = {"sn.allium_fetch"};
  world.assign({7, 7, kOther, kOther}, {3});
  world.run(1'000);
  for (const TestAccount& account : accounts) {
    if (world.node(2).membership.is_ours(account.account())) {
      world.call(2, "store", account.store("news", world.now_ms));
    }
  }
  world.run(10'000);
  world.tell(3);
  world.run(20'000);
  world.node(0).silent_on = world.node(1).silent_on = {};
  world.run(60'000);
  std::size_t moved = 0;
  for (const TestAccount& account : accounts) {
    if (world.node(3).membership.is_ours(account.account())) {
      EXPECT_EQ(sorted_data(world, 3, account), (std::vector<std::string>{"mail", "news"}));
      ++moved;
    }
  }
  EXPECT_GT(moved, 0U);
}

/// Two swarms, of which the second had nothing and hears nothing of what is now its own.
class AccountsThatComeBack : public testing::Test {
 protected:
  using Texts = std::vector<std::string>;

  void SetUp() override {
    world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
    world.run(30'000);
    accounts = stored_accounts(world, 30);
    world.run(1'000);
    let_nothing_cross();
    world.assign({7, 7, kOther, kOther, kNoSwarm});
    world.run(30'000);
    std::erase_if(accounts, [this](const TestAccount& account) {
      return !world.node(2).membership.is_ours(account.account());
    });
    ASSERT_GT(accounts.size(), 3U);
  }

  void let_nothing_cross() {
    for (std::size_t node = 0; node < 5; ++node) {
      world.node(node).silent_on = {node < 2 ? "sn.allium_fetch" : "sn.allium_late"};
    }
  }

  void let_cross() {
    for (std::size_t node = 0; node < 5; ++node) {
      world.node(node).silent_on = {};
    }
  }

  void restart_all() {
    for (std::size_t node = 0; node < 5; ++node) {
      world.node(node).restart();
    }
    for (std::size_t node = 0; node < 5; ++node) {
      world.start(node);
    }
  }

  void come_back() {
    world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
    let_cross();
    world.run(60'000);
  }

  void remove_at(std::size_t node, const TestAccount& account) {
    world.call(node, "delete",
               account.remove({internal::message_hash(account.account(), 0, "mail")}));
  }

  void expect_there(const TestAccount& account, const Texts& texts) {
    for (std::size_t node = 0; node < 2; ++node) {
      EXPECT_EQ(sorted_data(world, node, account), texts) << node;
    }
  }

  SwarmWorld world{5};
  std::vector<TestAccount> accounts;
};

TEST_F(AccountsThatComeBack, HaveAllThatHadNotGone) {
  come_back();
  for (const TestAccount& account : accounts) {
    expect_there(account, {"mail"});
  }
}

TEST_F(AccountsThatComeBack, HaveAllThatHadNotGoneWhereEverybodyStartsAgain) {
  restart_all();
  world.run(5'000);
  world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
  world.run(1'000);
  restart_all();
  let_cross();
  world.run(60'000);
  for (const TestAccount& account : accounts) {
    expect_there(account, {"mail"});
  }
}

TEST_F(AccountsThatComeBack, HaveAllThatHadNotGoneWhereTheyWereWithOneWhoNeverHeardOfIt) {
  world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
  world.assign({7, 7, kOther, kOther, kNoSwarm}, {2, 3});
  come_back();
  for (const TestAccount& account : accounts) {
    expect_there(account, {"mail"});
  }
}

TEST_F(AccountsThatComeBack, HaveWhatWasStoredMeanwhileAndNotWhatWasDeleted) {
  world.call(2, "store", accounts[0].store("news", world.now_ms));
  remove_at(3, accounts[1]);
  world.run(1'000);
  come_back();
  expect_there(accounts[0], {"mail", "news"});
  expect_there(accounts[1], {});
  expect_there(accounts[2], {"mail"});
}

TEST_F(AccountsThatComeBack, HaveNothingThatWasDeletedWhereAllHadGone) {
  let_cross();
  world.run(60'000);
  remove_at(3, accounts[1]);
  world.run(1'000);
  // Half of who had it is dead for ever, and so hears nothing of where they are next.
  world.node(2).is_up = false;
  come_back();
  expect_there(accounts[0], {"mail"});
  expect_there(accounts[1], {});
}

// By way of a third swarm, whose members have never heard of the deletion.
TEST_F(AccountsThatComeBack, HaveNothingThatWasDeletedBeforeTheyWentOn) {
  let_cross();
  world.run(60'000);
  remove_at(3, accounts[1]);
  world.run(1'000);
  world.assign({7, 7, kNoSwarm, kNoSwarm, kOther});
  world.run(60'000);
  ASSERT_EQ(sorted_data(world, 4, accounts[0]), Texts{"mail"});
  ASSERT_EQ(sorted_data(world, 4, accounts[1]), Texts{});
  world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
  world.run(60'000);
  expect_there(accounts[0], {"mail"});
  expect_there(accounts[1], {});
}

TEST_F(AccountsThatComeBack, HaveWhatWasStoredWithWhoHadThemBeforeTheLast) {
  let_cross();
  world.run(60'000);
  world.call(2, "store", accounts[0].store("news", world.now_ms));
  world.run(1'000);
  world.node(2).silent_on = world.node(3).silent_on = {"sn.allium_fetch"};
  world.node(4).silent_on = {"sn.allium_late"};
  world.assign({7, 7, kNoSwarm, kNoSwarm, kOther});
  world.run(1'000);
  world.call(4, "store", accounts[0].store("newer", world.now_ms));
  world.run(1'000);
  world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
  let_cross();
  world.run(60'000);
  expect_there(accounts[0], {"mail", "newer", "news"});
}

// A backup that was put back: it has what was deleted since, and its word of the network is about another store.
TEST(StoreThatWasPutBack, LosesWhatWasDeletedSince) {
  SwarmWorld world(3);
  world.assign({7, 7, 7});
  world.run(30'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 2);
  world.run(1'000);
  std::vector<std::pair<storage::Account, storage::Message>> backup;
  ASSERT_TRUE(world.node(0).store().for_each({0, UINT64_MAX, {}}, world.now_ms,
                                             [&backup](const auto& account, const auto& message) {
                                               backup.emplace_back(account, message);
                                               return true;
                                             }));
  world.call(1, "delete",
             accounts[0].remove({internal::message_hash(accounts[0].account(), 0, "mail")}));
  world.run(1'000);
  ASSERT_EQ(sorted_data(world, 0, accounts[0]), std::vector<std::string>());
  const std::string held = world.node(0).held;
  ASSERT_FALSE(held.empty());
  world.node(0).restart_empty();
  for (const auto& [account, message] : backup) {
    world.node(0).store().store(account, message, storage::Origin::replica, false,
                                {world.now_ms, storage::last_stored(message, world.now_ms)},
                                [](const auto&) {});
  }
  ASSERT_EQ(sorted_data(world, 0, accounts[0]), std::vector<std::string>{"mail"});
  world.node(0).held = held;
  world.node(0).restart();
  world.start(0);
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 0, accounts[0]), std::vector<std::string>());
  EXPECT_EQ(sorted_data(world, 0, accounts[1]), std::vector<std::string>{"mail"});
}

// Its queue at the others is empty, and nobody remembers what it was told: it has a copy of a life that was over when the message was stored anew,
// or of one whose commands are more than anybody remembers.
class StoreThatWasPutBackBehind : public testing::TestWithParam<bool> {
 protected:
  using Messages = std::vector<std::pair<storage::Account, storage::Message>>;

  [[nodiscard]] Messages messages_of(std::size_t node) {
    Messages all;
    EXPECT_TRUE(world.node(node).store().for_each({0, UINT64_MAX, {}}, world.now_ms,
                                                  [&all](const auto& of, const auto& message) {
                                                    all.emplace_back(of, message);
                                                    return true;
                                                  }));
    return all;
  }

  void put_back(const Messages& backup) {
    const std::string held = world.node(0).held;
    world.node(0).restart_empty();
    for (const auto& [of, message] : backup) {
      world.node(0).store().store(of, message, storage::Origin::replica, false,
                                  {world.now_ms, storage::last_stored(message, world.now_ms)},
                                  [](const auto&) {});
    }
    world.node(0).held = held;
    world.node(0).restart();
    world.start(0);
  }

  void delete_and_store_again() {
    world.call(1, "delete", owner.remove({internal::message_hash(owner.account(), 0, "mail")}));
    world.run(1'000);
    world.call(1, "store", owner.store("mail", world.now_ms));
  }

  void change_its_expiry_often() {
    const std::string hash = internal::message_hash(owner.account(), 0, "mail");
    for (std::uint64_t i = 0; i < 2 * storage::kHistoryStepsMax; ++i) {
      const std::uint64_t expiry = world.now_ms + 600'000 - i * 1'000;
      world.call(
          1, "expire",
          owner.signed_params(
              "expireshorten" + std::to_string(expiry) + hash,
              {{"expiry", expiry}, {"shorten", true}, {"messages", boost::json::array{hash}}}));
      world.run(100);
    }
  }

  SwarmWorld world{3};
  TestAccount owner{3, 1};
};

TEST_P(StoreThatWasPutBackBehind, HasTheLifeThatTheOthersHave) {
  world.assign({7, 7, 7});
  world.run(30'000);
  world.call(0, "store", owner.store("mail", world.now_ms));
  world.run(1'000);
  const Messages backup = messages_of(0);
  ASSERT_EQ(backup.size(), 1U);
  if (GetParam()) {
    delete_and_store_again();
  } else {
    change_its_expiry_often();
  }
  world.run(1'000);
  const Messages now = messages_of(1);
  ASSERT_EQ(now.size(), 1U);
  ASSERT_NE(now.at(0).second.expiry_ms, backup.at(0).second.expiry_ms);
  put_back(backup);
  world.run(60'000);

  ASSERT_EQ(messages_of(0).size(), 1U);
  EXPECT_EQ(messages_of(0).at(0).second.timestamp_ms, now.at(0).second.timestamp_ms);
  EXPECT_EQ(messages_of(0).at(0).second.expiry_ms, now.at(0).second.expiry_ms);
  EXPECT_EQ(messages_of(1), now);
}

INSTANTIATE_TEST_SUITE_P(Behind, StoreThatWasPutBackBehind, testing::Bool(),
                         [](const testing::TestParamInfo<bool>& stored_again) {
                           return stored_again.param ? "WhatWasStoredAgain" : "ManyCommands";
                         });

// One who had them before the last, and was down since: that it has not what came later says nothing.
TEST(AccountsThatGoOn, AreNotErasedOnTheWordOfOneWhoWasDownMeanwhile) {
  SwarmWorld world(5);
  world.assign({7, 7, kNoSwarm, kNoSwarm, kNoSwarm});
  world.run(30'000);
  std::vector<TestAccount> accounts = stored_accounts(world, 30);
  world.run(1'000);
  world.node(0).silent_on = {"sn.allium_fetch"};
  world.node(2).silent_on = world.node(3).silent_on = {"sn.allium_late"};
  world.node(1).is_up = false;
  world.assign({7, 7, kOther, kOther, kNoSwarm}, {1});
  world.run(30'000);
  std::erase_if(accounts, [&world](const TestAccount& account) {
    return !world.node(2).membership.is_ours(account.account());
  });
  ASSERT_FALSE(accounts.empty());
  world.call(2, "store", accounts[0].store("news", world.now_ms));
  world.run(1'000);
  world.assign({7, 7, kNoSwarm, kNoSwarm, kOther}, {1});
  world.run(70'000);
  ASSERT_EQ(sorted_data(world, 4, accounts[0]), std::vector<std::string>{"news"});
  world.node(1).is_up = true;
  world.node(1).restart();
  world.start(1);
  world.run(120'000);
  EXPECT_EQ(sorted_data(world, 4, accounts[0]), (std::vector<std::string>{"mail", "news"}));
}

TEST(MemberThatComesBack, AsksForWhatItHadBeforeAlsoWhereItIsStillAskingForOtherThings) {
  SwarmWorld world(3);
  world.assign({7, 7, kOther});
  world.run(30'000);
  std::vector<TestAccount> accounts = stored_accounts(world, 30);
  std::erase_if(accounts, [&world](const TestAccount& account) {
    return !world.node(0).membership.is_ours(account.account());
  });
  ASSERT_FALSE(accounts.empty());
  world.run(1'000);
  world.node(2).silent_on = {"sn.allium_fetch"};
  world.assign({kOther, 7, kOther});
  world.run(10'000);
  EXPECT_GT(world.node(0).fetch().counters().parts_open, 0U);
  for (const TestAccount& account : accounts) {
    world.call(1, "delete", account.remove({internal::message_hash(account.account(), 0, "mail")}));
  }
  world.assign({7, 7, kOther});
  world.run(60'000);
  for (const TestAccount& account : accounts) {
    EXPECT_TRUE(sorted_data(world, 0, account).empty());
  }
}

TEST(LateMember, WhoLearnsOfItsSwarmAfterAllOthersIsHandedWhatItDidNotTakeForItsOwn) {
  SwarmWorld world(3);
  world.assign({7, 7, kNoSwarm});
  world.run(10'000);
  // Nobody is to give it what the queue has.
  world.node(0).silent_on = world.node(1).silent_on = {"sn.allium_fetch"};
  world.assign({7, 7, 7}, {2});
  world.run(1'000);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  world.run(30'000);
  world.tell(2);
  world.run(20'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  EXPECT_FALSE(world.node(0).swarm().is_behind(world.node(2).key()));
}

TEST(AbsentMember, WhoHasGoneToAnotherSwarmIsNotKeptAQueueForEver) {
  SwarmWorld world(3);
  world.run(10'000);
  world.node(2).is_up = false;
  world.run(30'000);
  stored_accounts(world, 20);
  world.run(1'000);
  ASSERT_FALSE(world.node(0).store().missed(world.node(2).key(), 0, 1'000)->empty());
  world.assign({7, 7, kOther});
  world.node(2).is_up = true;
  world.run(120'000);
  EXPECT_TRUE(world.node(0).store().missed(world.node(2).key(), 0, 1'000)->empty());
}

TEST(Whole, IsASwarmOfWhichOneWasDeadFromTheStart) {
  SwarmWorld world(3);
  world.node(2).is_up = false;
  world.run(30'000);
  const auto how = [&world] {
    const json::object all = {{"g", 1}, {"f", std::string(8, '\0')}, {"t", std::string(8, '\xff')}};
    PeerParts parts;
    world.node(0).fetch().answer(x25519_of(world.node(1).key()).value(), serialise_bt(all),
                                 [&parts](PeerParts given) { parts = std::move(given); });
    return parts.at(0);
  };
  EXPECT_EQ(how(), "PART");
  world.run(7'200'000);
  EXPECT_EQ(how(), "OK");
}

TEST(NewDisk, IsFilledByTheOthers) {
  SwarmWorld world(3);
  world.run(1'000);
  const std::vector<TestAccount> accounts = stored_accounts(world, 30);
  world.run(1'000);
  ASSERT_FALSE(world.node(2).held.empty());
  world.node(2).restart_empty();
  EXPECT_TRUE(sorted_data(world, 2, accounts[0]).empty());
  world.start(2);
  world.run(10'000);
  for (const TestAccount& account : accounts) {
    EXPECT_EQ(sorted_data(world, 2, account), std::vector<std::string>{"mail"});
  }
}

TEST(NewDisk, DoesNotBringBackWhatIsDeletedMeanwhile) {
  SwarmWorld world(3);
  world.run(1'000);
  const TestAccount owner(5, 1);
  const Answer stored = world.call(0, "store", owner.store("one", world.now_ms));
  world.node(2).restart_empty();
  world.node(0).is_up = false;  // its first source does not answer at once
  world.start(2);
  world.run(100);
  world.call(1, "delete", owner.remove({std::string(stored.body.at("hash").as_string())}));
  world.node(0).is_up = true;
  world.run(60'000);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
  }
}

TEST(Fetching, IsNotRepeatedByAProcessWhoseStoreIsWhole) {
  SwarmWorld world(3);
  world.run(10'000);
  world.node(0).served.clear();
  world.node(1).served.clear();
  world.node(2).restart();
  world.start(2);
  world.run(10'000);
  EXPECT_FALSE(world.node(0).served.contains("sn.allium_fetch"));
  EXPECT_FALSE(world.node(1).served.contains("sn.allium_fetch"));
}

TEST(Fetching, IsNotBegunWhereTheNetworkIsToldAgain) {
  SwarmWorld world(4);
  world.assign({7, 7, kOther, kOther});
  world.run(30'000);
  ASSERT_FALSE(world.node(0).held.empty());
  for (std::size_t node = 1; node < 4; ++node) {
    world.node(node).served.clear();
  }
  world.tell(0);
  world.run(10'000);
  for (std::size_t node = 1; node < 4; ++node) {
    EXPECT_FALSE(world.node(node).served.contains("sn.allium_fetch")) << node;
  }
}

TEST(Fetching, GoesPageByPage) {
  SwarmWorld world(2);
  world.run(1'000);
  const TestAccount owner(5, 1);
  const TestAccount other(3, 2);
  for (int i = 0; i < 30; ++i) {
    const std::string data = std::to_string(i) + std::string(70'000, '.');
    world.call(0, "store", owner.store(data, world.now_ms));
    world.call(0, "store", other.store(data, world.now_ms));
  }
  world.node(1).restart_empty();
  world.start(1);
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 1, owner), sorted_data(world, 0, owner));
  EXPECT_EQ(sorted_data(world, 1, other), sorted_data(world, 0, other));
  EXPECT_EQ(world.node(1).store().status().messages, 60U);
  EXPECT_GE(world.node(1).fetch().counters().pages, 4U);
}

TEST(LostStore, IsFilledByWhoIsThereAlthoughMostAreNot) {
  SwarmWorld world(7);
  const TestAccount owner(5, 1);
  world.run(60'000);
  world.call(6, "store", owner.store("one", world.now_ms));
  for (const std::size_t node : {0U, 1U, 2U, 3U, 4U}) {
    world.node(node).is_up = false;
  }
  world.node(5).restart_empty();
  world.node(5).held.clear();
  world.start(5);
  world.run(6 * kSwarmTimeoutMs);
  EXPECT_EQ(sorted_data(world, 5, owner), std::vector<std::string>{"one"});
}

class Answering : public testing::Test {
 protected:
  void SetUp() override {
    world.assign({7, 7, kOther});
    world.run(1'000);
    accounts = stored_accounts(world, 20);
  }

  PeerParts ask(std::size_t who, const json::object& request) {
    return ask(x25519_of(world.node(who).key()).value(), serialise_bt(request));
  }

  PeerParts ask(const NodeKey& who, std::string_view request) {
    PeerParts parts;
    world.node(0).fetch().answer(who, request, [&parts](PeerParts given) { parts = given; });
    return parts;
  }

  std::vector<OwnedMessage> given(const PeerParts& parts) {
    EXPECT_GE(parts.size(), 3U);
    const auto messages = parse_pushed(parts.at(1));
    EXPECT_TRUE(messages);
    return messages ? *messages : std::vector<OwnedMessage>();
  }

  SwarmWorld world{3};
  std::vector<TestAccount> accounts;
  const json::object all = {{"g", 2}, {"f", std::string(8, '\0')}, {"t", std::string(8, '\xff')}};
};

TEST_F(Answering, GivesToEachWhatIsItsOwn) {
  const std::vector<OwnedMessage> messages = given(ask(1, all));
  EXPECT_EQ(messages.size(), world.node(0).store().status().messages);
  EXPECT_GT(messages.size(), 0U);
  EXPECT_TRUE(given(ask(2, all)).empty()) << "of another swarm";
}

// It would take the answer for all there is.
TEST_F(Answering, TellsNothingToWhoIsBehindOfWhatIsNotHisAnyMore) {
  json::object earlier = all;
  earlier["g"] = 1;
  EXPECT_EQ(ask(1, earlier).front(), "421") << "some of it";
  const auto own = world.node(1).membership.nodes()->swarms().points_of(7).value();
  const PointRange points = common_points(own, {0, UINT64_MAX}).front();
  earlier["f"] = internal::point_text(points.first);
  earlier["t"] = internal::point_text(points.last);
  EXPECT_NE(ask(1, earlier).front(), "421");
}

TEST_F(Answering, GoesOnBehindTheLastMessage) {
  const std::vector<OwnedMessage> messages = given(ask(1, all));
  ASSERT_GT(messages.size(), 2U);
  json::object next = all;
  next["a"] = text_of(messages[1].first);
  next["h"] = messages[1].second.hash;
  const std::vector<OwnedMessage> rest = given(ask(1, next));
  ASSERT_EQ(rest.size(), messages.size() - 2);
  EXPECT_EQ(rest[0].second.hash, messages[2].second.hash);
  // A place that is gone: its account anew.
  next["h"] = "gone";
  const std::vector<OwnedMessage> anew = given(ask(1, next));
  ASSERT_EQ(anew.size(), messages.size() - 1);
  EXPECT_EQ(anew[0].second.hash, messages[1].second.hash);
}

TEST_F(Answering, TellsNothingToWhoIsNoMemberOrIsAhead) {
  EXPECT_EQ(ask(test::TestAccount(3, 1).key().public_key(), serialise_bt(all)).at(0), "421");
  json::object ahead = all;
  ahead["g"] = 1'000;
  EXPECT_EQ(ask(1, ahead).at(0), "421");
}

TEST_F(Answering, RefusesWhatIsNoRequest) {
  const NodeKey who = x25519_of(world.node(1).key()).value();
  for (const std::string request : {"", "le", "de", "d1:f8:00000000e", "i1e"}) {
    EXPECT_EQ(ask(who, request).at(0), "400") << request;
  }
  json::object backwards = all;
  std::swap(backwards["f"], backwards["t"]);
  EXPECT_EQ(ask(1, backwards).at(0), "400");
  json::object half = all;
  half["a"] = std::string(33, '\0');
  EXPECT_EQ(ask(1, half).at(0), "400");
}

TEST_F(Answering, SaysWhichOfAnOldCopyAreGone) {
  world.run(10'000);
  std::erase_if(accounts, [this](const TestAccount& account) {
    return !world.node(0).membership.is_ours(account.account());
  });
  ASSERT_GT(accounts.size(), 2U);
  const std::vector<OwnedMessage> old = given(ask(1, all));
  ASSERT_EQ(old.size(), accounts.size());
  const auto removed = std::find_if(accounts.begin(), accounts.end(), [&old](const auto& account) {
    return account.account() == old[1].first;
  });
  ASSERT_NE(removed, accounts.end());
  world.call(0, "delete", removed->remove({old[1].second.hash}));
  OwnedMessage unknown = old[0];
  unknown.second.hash = internal::message_hash(unknown.first, 0, "unknown");
  unknown.second.life.clear();
  unknown.second.timestamp_ms = world.now_ms - 60'000;
  json::object question = all;
  question["k"] = "o";
  question["m"] = serialise_replicas({old[0], old[1], unknown});
  const storage::Account& account = old[0].first;
  const auto token = [](char letter) {
    storage::Token filled{};
    filled.fill(static_cast<std::uint8_t>(letter));
    return filled;
  };
  const auto say = [&](char letter, bool is_lifted, std::uint64_t asked_ms) {
    const storage::When when(world.now_ms, storage::stamp_of(asked_ms));
    const auto done = [](const Result<std::size_t>& count) { EXPECT_TRUE(count); };
    if (is_lifted) {
      world.node(0).store().unrevoke(account, {token(letter)}, when, done);
    } else {
      world.node(0).store().revoke(account, {token(letter)}, 1, when, done);
    }
  };
  say('r', false, world.now_ms);
  say('l', true, world.now_ms);
  say('e', true, 1);
  json::array revoked;
  for (const char letter : {'u', 'r', 'l', 'e'}) {
    revoked.emplace_back(json::array{text_of(account), std::string(36, letter), 1,
                                     static_cast<std::int64_t>(storage::stamp_of(2))});
  }
  question["r"] = serialise_bt(revoked);
  EXPECT_EQ(ask(1, question), (PeerParts{"PART", "li1ee", "li2ee", "le"}))
      << "not all points are its own; what is not there may never have come";
  const auto own = world.node(0).membership.nodes()->swarms().points_of(7);
  const std::uint64_t point = storage::point_of(account);
  std::array<std::uint8_t, 8> bytes{};
  store_be(bytes.data(), point, bytes.size());
  ASSERT_TRUE(own);
  question["f"] = question["t"] = text_of(bytes);
  EXPECT_EQ(ask(1, question), (PeerParts{"OK", "le", "li2ee", "le"}))
      << "the second is not in the range";
  question["m"] =
      serialise_replicas(std::vector<OwnedMessage>(internal::kOldCopyPageMax + 1, unknown));
  EXPECT_EQ(ask(1, question), (PeerParts{"400", "more than a page"}));
  question["m"] = "no messages";
  EXPECT_EQ(ask(1, question).at(0), "400");
}

TEST(HeldText, OfAnotherStoreOrDamagedIsNone) {
  SwarmWorld world(3);
  world.assign({7, 7, kOther});
  world.run(10'000);
  world.node(2).silent_on = {"sn.allium_fetch"};
  world.assign({7, kOther, kOther});
  world.run(1'000);
  const std::string held = world.node(1).held;
  for (const char* part : {"\ncopies 3\n", "\nwanted 2\n", "\nnodes 3\n", "\ndoubts 1\n",
                           "\ncompared 0\n", "\ntenures 1\n", "\npast 2\n"}) {
    ASSERT_NE(held.find(part), std::string::npos) << held;
  }
  const std::string store = world.node(1).store().id();
  ASSERT_EQ(internal::HeldPoints(held, store).text(store), held);
  const auto changed = [&held](const std::string& from, const std::string& to) {
    std::string text = held;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {std::string("nonsense"), held.substr(0, 20), held.substr(0, held.size() - 2),
        held + "zz 7\n", held + "00", changed("held 5", "held 4"), changed("tenures ", "tenure "),
        changed("past 2", "past 3"), changed("compared 0", "compared 1"),
        changed("copies 3", "copies 4"), changed("doubts 1", "doubts 2"), changed("node ", "edon "),
        changed("wanted 2", "wanted 3"), changed("wanted 2", "wanted 9999999"),
        changed("nodes 3", "nodes 2"), changed("nodes 3", "nodes 9999999")}) {
    EXPECT_TRUE(internal::HeldPoints(text, store).text(store).empty()) << text;
  }
}

}  // namespace
}  // namespace allium::control::test
