// SPDX-License-Identifier: Apache-2.0

// Swarms that are joined, left and dissolved, and what their members push to each other.

#include <gtest/gtest.h>

#include "control/service/internal/message_hash.hpp"
#include "control/service/swarm_peers.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

TEST(NewMember, IsGivenEverythingOfItsSwarm) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  for (int i = 0; i < 50; ++i) {
    world.call(0, "store", owner.store("message " + std::to_string(i), world.now_ms));
  }
  world.add_node();
  world.assign({7, 7, 7});
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 2, owner).size(), 50U);
  EXPECT_EQ(sorted_data(world, 2, owner), sorted_data(world, 0, owner));
}

TEST(NewMember, ThatIsDeadAtFirstIsGivenEverythingLater) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  world.add_node();
  world.node(2).is_up = false;
  world.assign({7, 7, 7});
  world.run(60'000);
  world.node(2).is_up = true;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
}

TEST(NewMember, IsGivenALargeMailboxInRounds) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  constexpr std::size_t kMessages = 130;
  for (std::size_t i = 0; i < kMessages; ++i) {
    storage::Message message;
    message.data = std::to_string(i) + ' ' + std::string(76'000, 'x');
    message.hash = internal::message_hash(owner.account(), 0, message.data);
    message.timestamp_ms = world.now_ms;
    message.expiry_ms = world.now_ms + 3'600'000;
    world.node(0).store().store(owner.account(), message, storage::Origin::client, false,
                                world.now_ms, [](const Result<storage::Stored>&) {});
  }
  ASSERT_EQ(world.node(0).store().status().messages, kMessages);
  world.add_node();
  world.node(0).silent_on = {"sn.allium_fetch"};
  world.node(2).silent_on = {"sn.allium_late"};
  world.assign({7, 7, 7});
  world.run(1'000);
  EXPECT_GT(world.node(0).swarm().counters().messages_pushed, 0U);
  EXPECT_LT(world.node(0).swarm().counters().messages_pushed, 60U) << "4 MB at a time";

  world.node(2).silent_on.clear();
  world.run(60'000);
  EXPECT_EQ(world.node(0).swarm().counters().messages_pushed, kMessages);
  EXPECT_EQ(world.node(2).store().status().messages, kMessages);
}

TEST(NewMember, IsGivenWhatCouldNotBeReadAtFirst) {
  SwarmWorld world(3);
  world.assign({7, 7, kNoSwarm});
  world.run(10'000);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  // Pushed, and not fetched.
  for (std::size_t node = 0; node < 2; ++node) {
    world.node(node).store().is_unreadable = true;
    world.node(node).silent_on = {"sn.allium_fetch"};
  }
  world.assign({7, 7, 7});
  world.run(30'000);
  world.node(0).store().is_unreadable = false;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(world.node(0).swarm().counters().lost_records, 0U);
  world.run(600'000);
  EXPECT_GT(world.node(1).swarm().counters().lost_records, 0U) << "it is not tried for ever";
}

/// Node 2 has been given a message by node 0; node 1 does not know of it yet.
class MemberNotKnownYet : public testing::Test {
 protected:
  void SetUp() override {
    world.assign({7, 7, kNoSwarm});
    world.run(10'000);
    const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
    hash = kept.body.at("hash").as_string();
    world.assign({7, 7, 7}, {1});
    world.run(5'000);
    ASSERT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  }

  void remove() {
    world.call(1, "delete", owner.remove({hash}));
    world.run(5'000);
  }

  void expect_nothing() {
    for (std::size_t node = 0; node < world.size(); ++node) {
      EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
    }
  }

  SwarmWorld world{3};
  const TestAccount owner{5, 1};
  std::string hash;
};

TEST_F(MemberNotKnownYet, HearsOfWhatIsDeleted) {
  remove();
  world.tell(1);
  world.run(30'000);
  expect_nothing();
}

TEST_F(MemberNotKnownYet, HearsOfItFromTheNodeThatTookIt) {
  // Who gave it that does not remember.
  world.node(0).restart();
  world.start(0);
  world.run(1'000);
  remove();
  world.tell(1);
  world.run(30'000);
  expect_nothing();
}

TEST_F(MemberNotKnownYet, HearsOfItWhereWhoGaveItHadNoRoomToRememberIt) {
  world.node(0).store().is_full = true;
  world.node(0).silent_on = {"sn.allium_fetch"};  // what is given is compared
  remove();
  EXPECT_TRUE(sorted_data(world, 0, owner).empty());
  ASSERT_FALSE(sorted_data(world, 2, owner).empty());
  // Who took it tells nobody any more.
  world.node(1).is_up = false;
  world.node(0).store().is_full = false;
  world.run(30'000);
  expect_nothing();
  EXPECT_EQ(world.node(0).swarm().counters().lost_records, 0U);
}

TEST(NewSwarm, HearsOfWhatIsDeletedWhereItIsNotKnownYetMuchLater) {
  SwarmWorld world(4);
  world.assign({7, 7, kNoSwarm, kNoSwarm});
  world.run(10'000);
  std::vector<TestAccount> accounts;
  std::vector<std::string> hashes;
  for (std::uint8_t n = 1; n <= 12; ++n) {
    accounts.emplace_back(3, n);
    const Answer kept = world.call(0, "store", accounts.back().store("mail", world.now_ms));
    hashes.emplace_back(kept.body.at("hash").as_string());
  }
  const SwarmId other = std::uint64_t{1} << 63;
  world.assign({7, 7, other, other}, {1});
  world.run(2 * kViewsDifferMs);
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    world.call(1, "delete", accounts[i].remove({hashes[i]}));
  }
  world.run(5'000);
  world.tell(1);
  world.run(30'000);
  for (const TestAccount& account : accounts) {
    const bool is_moved = world.node(2).membership.is_ours(account.account());
    EXPECT_TRUE(sorted_data(world, is_moved ? 2 : 0, account).empty());
    EXPECT_TRUE(sorted_data(world, is_moved ? 3 : 1, account).empty());
  }
}

TEST(NewMember, IsToldNothingTwiceWhereTheNetworkIsToldAgain) {
  SwarmWorld world(3);
  world.run(10'000);
  world.assign({7, 7, 7});
  world.run(1'000);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  world.run(10'000);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(world.node(node).swarm().counters().queued, 0U) << node;
  }
}

TEST(NewSwarm, HearsOfWhatIsDeletedWhereItIsNotKnownYet) {
  SwarmWorld world(4);
  world.assign({7, 7, kNoSwarm, kNoSwarm});
  world.run(10'000);
  std::vector<TestAccount> accounts;
  std::vector<std::string> hashes;
  for (std::uint8_t n = 1; n <= 12; ++n) {
    accounts.emplace_back(3, n);
    const Answer kept = world.call(0, "store", accounts.back().store("mail", world.now_ms));
    hashes.emplace_back(kept.body.at("hash").as_string());
  }
  const SwarmId other = std::uint64_t{1} << 63;
  world.assign({7, 7, other, other}, {1});
  world.run(5'000);
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    world.call(1, "delete", accounts[i].remove({hashes[i]}));
  }
  world.run(5'000);
  world.tell(1);
  world.run(30'000);
  for (const TestAccount& account : accounts) {
    const bool is_moved = world.node(2).membership.is_ours(account.account());
    EXPECT_TRUE(sorted_data(world, is_moved ? 2 : 0, account).empty());
    EXPECT_TRUE(sorted_data(world, is_moved ? 3 : 1, account).empty());
  }
}

TEST(NewSwarm, IsGivenTheAccountsThatAreNowItsOwn) {
  SwarmWorld world(4);
  world.assign({7, 7, kNoSwarm, kNoSwarm});
  std::vector<TestAccount> accounts;
  for (std::uint8_t n = 1; n <= 30; ++n) {
    accounts.emplace_back(3, n);
    world.call(0, "store", accounts.back().store("mail", world.now_ms));
  }
  const SwarmId other = std::uint64_t{1} << 63;
  world.assign({7, 7, other, other});
  world.run(60'000);
  int moved = 0;
  for (const TestAccount& account : accounts) {
    const bool is_moved = world.node(2).membership.is_ours(account.account());
    moved += is_moved ? 1 : 0;
    EXPECT_EQ(sorted_data(world, is_moved ? 3 : 0, account), std::vector<std::string>{"mail"});
  }
  EXPECT_GT(moved, 3);
  EXPECT_LT(moved, 27);
}

TEST(DissolvedSwarm, HandsItsAccountsToWhereTheyBelongNow) {
  SwarmWorld world(4);
  const SwarmId other = std::uint64_t{1} << 63;
  world.assign({7, 7, other, other});
  std::vector<TestAccount> accounts;
  for (std::uint8_t n = 1; n <= 30; ++n) {
    accounts.emplace_back(3, n);
    const std::size_t entry = world.node(0).membership.is_ours(accounts.back().account()) ? 0 : 2;
    world.call(entry, "store", accounts.back().store("mail", world.now_ms));
  }
  world.assign({7, 7, 7, 7});
  world.run(60'000);
  for (const TestAccount& account : accounts) {
    for (std::size_t node = 0; node < 4; ++node) {
      EXPECT_EQ(sorted_data(world, node, account), std::vector<std::string>{"mail"});
    }
  }
}

TEST(Pushed, GoesRoundAndReadsTheOldFormWithoutNamespace) {
  const TestAccount owner(5, 1);
  storage::Message message{"hash", -11, kStartMs, kStartMs + 5, std::string("\0d", 2)};
  const std::string payload = serialise_pushed({{owner.account(), message}});
  EXPECT_EQ(payload.substr(0, 7), "\x01ll33:\x05");
  const auto again = parse_pushed(payload).value();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0].first, owner.account());
  EXPECT_EQ(again[0].second, message);
  const std::string old = "\x01ll33:" + std::string(33, 'k') + "4:hashi1ei2e1:dee";
  EXPECT_EQ(parse_pushed(old).value().front().second.space, 0);
}

TEST(Pushed, IsStoredOnlyWhereAClientCouldHaveStoredIt) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  storage::Message message;
  message.data = "data";
  message.timestamp_ms = world.now_ms;
  message.expiry_ms = world.now_ms + 60'000;
  message.hash = internal::message_hash(owner.account(), 0, "data");
  std::vector<OwnedMessage> pushed(5, {owner.account(), message});
  pushed[0].second.hash = "\xff\xfe\x80";
  pushed[1].second.hash = internal::message_hash(owner.account(), 10, "data");
  pushed[2].second.expiry_ms = std::uint64_t{1} << 62;
  pushed[3].second.timestamp_ms = world.now_ms + 3'600'000;
  PeerParts reply{"none"};
  world.node(0).swarm().take_data(serialise_pushed({pushed.begin(), pushed.end() - 1}),
                                  [&reply](PeerParts parts) { reply = std::move(parts); });
  world.run(10);
  EXPECT_TRUE(reply.empty()) << "a member that lies is not asked to repeat it";
  EXPECT_EQ(world.node(0).store().status().messages, 0U);
  EXPECT_EQ(world.node(0).swarm().counters().messages_refused, 4U);
  world.node(0).swarm().take_data(serialise_pushed(pushed), [](const PeerParts&) {});
  world.run(10);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"data"});
}

TEST(Pushed, RefusesWhatIsNotOne) {
  const std::string key = "33:" + std::string(33, 'k');
  for (const std::string& payload : std::vector<std::string>{
           std::string(), std::string("\x03le"), std::string("\x01"),
           std::string("\x01"
                       "de"),
           "\x01ll" + key + "0:i1ei2e1:dee", "\x01ll" + key + "4:hashi-1ei2e1:dee",
           "\x01ll" + key + "4:hashi1ei2e1:di99999eee", "\x01ll2:kk4:hashi1ei2e1:dee",
           "\x01ll" + key + "4:hashi1ei2eee",
           "\x02ll" + key + "4:hashi1ei2e1:di0elli9ei2ei4ei0eeeee",
           "\x02ll" + key + "4:hashi1ei2e1:di0elli9ei2ei0ei0eeeee"}) {
    EXPECT_FALSE(parse_pushed(payload)) << payload;
  }
}

}  // namespace
}  // namespace allium::control::test
