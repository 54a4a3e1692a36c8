// SPDX-License-Identifier: Apache-2.0

// What a swarm does for members that are dead, slow or stopped.

#include "control/service/swarm_peers.hpp"

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

TEST(DeadMember, CostsOneTimeoutAndThenNothing) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  Answer answer = world.call(0, "store", owner.store("one", world.now_ms));
  EXPECT_EQ(answer.status, Status::ok);
  EXPECT_GE(world.last_call_ms, kSwarmTimeoutMs);
  EXPECT_EQ(member(answer, world.node(2)), (json::object{{"failed", true}, {"timeout", true}}));
  EXPECT_TRUE(world.node(0).swarm().is_dead(world.node(2).key()));

  answer = world.call(0, "store", owner.store("two", world.now_ms));
  EXPECT_LT(world.last_call_ms, 10U);
  EXPECT_EQ(member(answer, world.node(2)), (json::object{{"failed", true}, {"timeout", true}}));
  EXPECT_FALSE(member(answer, world.node(1)).contains("failed"));
}

TEST(DeadMember, GetsAllItMissedInOrderWhenItIsBack) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("to be deleted", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  world.node(2).is_up = false;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.call(1, "store", owner.store("two", world.now_ms));
  world.call(0, "delete", owner.remove({hash}));
  world.call(0, "store", owner.store("three", world.now_ms));
  world.run(300'000);  // longer than any signature is fresh

  world.node(2).is_up = true;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 2, owner), (std::vector<std::string>{"one", "three", "two"}));
  EXPECT_FALSE(world.node(0).swarm().is_dead(world.node(2).key()));
  EXPECT_EQ(world.node(0).swarm().counters().lost_records, 0U);
  EXPECT_EQ(world.node(0).swarm().counters().handed_over, 3U);
  const Answer after = world.call(0, "store", owner.store("four", world.now_ms));
  EXPECT_FALSE(member(after, world.node(2)).contains("failed"));
}

TEST(DeadMember, IsRememberedByANewProcess) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.node(1).is_up = false;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.node(0).restart();
  world.node(0).swarm().start(world.node(0).rpc());
  world.node(1).is_up = true;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"one"});
}

TEST(DeadMember, OfTheOtherKindGetsTheMessages) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.node(1).is_of_our_kind = false;
  world.node(1).is_up = false;
  world.call(0, "store", owner.store("one", world.now_ms));
  json::object in_ten = owner.store("ten", world.now_ms);
  in_ten["namespace"] = 10;
  world.call(0, "store", in_ten);
  world.node(1).is_up = true;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(data_in(world.call(1, "retrieve", owner.retrieve(world.now_ms, 10))),
            std::vector<std::string>{"ten"});
  EXPECT_FALSE(world.node(1).served.contains("sn.allium_late"));
}

TEST(DeadMember, TellsWhoMonitorsOfCommandsThatComeLateAndNotOfCopies) {
  for (const bool is_of_our_kind : {true, false}) {
    SwarmWorld world(3);
    const TestAccount owner(5, 1);
    world.call(0, "store", owner.store("one", world.now_ms));
    TestNode& late = world.node(2);
    late.is_of_our_kind = is_of_our_kind;
    late.is_up = false;
    world.call(0, "store", owner.store("two", world.now_ms));
    late.is_up = true;
    world.run(30'000);
    ASSERT_EQ(sorted_data(world, 2, owner), (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(world.node(1).monitored, (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(late.monitored, is_of_our_kind ? (std::vector<std::string>{"one", "two"})
                                             : std::vector<std::string>{"one"});
  }
}

TEST(DeadMember, HearsOfWhatReplacedAMessageOfAPublicOutbox) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("first", world.now_ms, -1));
  world.node(2).is_up = false;
  world.run(1'000);
  const Answer newer = world.call(0, "store", owner.store("second", world.now_ms, -1));
  world.call(0, "delete", owner.remove({std::string(newer.body.at("hash").as_string())}));
  world.run(75'000);
  world.node(2).is_up = true;
  world.run(60'000);
  for (std::size_t node = 0; node < 3; ++node) {
    const Answer found = world.call(node, "retrieve", owner.retrieve(world.now_ms, -1));
    EXPECT_TRUE(data_in(found).empty()) << node;
  }
}

TEST(DeadMember, IsKnownToBeDeadBeforeSomethingIsForIt) {
  SwarmWorld world(3);
  world.start(0);
  world.node(2).is_up = false;
  world.run(21'000);
  EXPECT_TRUE(world.node(0).swarm().is_dead(world.node(2).key()));
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("one", world.now_ms));
  EXPECT_LT(world.last_call_ms, 1'000U);
  world.node(2).is_up = true;
  world.run(10'000);
  EXPECT_FALSE(world.node(0).swarm().is_dead(world.node(2).key()));
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
}

TEST(DeadMember, DoesNotBringBackWhatWasDeletedMeanwhile) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  const Answer stored = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(stored.body.at("hash").as_string());
  world.call(1, "delete", owner.remove({hash}));
  // The deletion arrives first, the message behind it.
  world.node(0).is_up = false;
  world.node(2).is_up = true;
  world.run(30'000);
  world.node(0).is_up = true;
  world.run(30'000);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
  }
}

TEST(DeadMember, IsHandedWhatIsQueuedWhileItComesBack) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.node(1).is_up = false;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.node(0).store().slow_for = world.node(1).key();
  world.node(0).rpc().call("store", owner.store("two", world.now_ms), Format::json,
                           RpcSource::client, [](const Answer&) {});
  world.run(10);
  ASSERT_EQ(world.node(0).store().waiting.size(), 1U);

  world.node(1).is_up = true;
  world.run(20'000);
  world.node(0).store().write_waiting();
  world.run(20'000);

  EXPECT_EQ(sorted_data(world, 1, owner), (std::vector<std::string>{"one", "two"}));
}

TEST(DeadMember, IsHandedWhatTimedOutWhileItTookTheRest) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  TestNode& entry = world.node(0);
  TestNode& other = world.node(1);
  const auto store = [&](const char* text) {
    entry.rpc().call("store", owner.store(text, world.now_ms), Format::json, RpcSource::client,
                     [](const Answer&) {});
  };
  other.is_up = false;
  world.call(0, "store", owner.store("one", world.now_ms));
  other.is_up = true;
  other.late_takes_ms = 8'000;
  other.silent_on = {"sn.storage_cc"};
  world.run(3'000);
  ASSERT_TRUE(other.served.contains("sn.allium_late"));
  store("two");
  entry.store().slow_for = other.key();
  world.run(kSwarmTimeoutMs + 5'000);
  ASSERT_EQ(entry.store().waiting.size(), 1U) << "it timed out, and its queue is slow";
  other.silent_on = {};
  other.late_takes_ms = 0;
  entry.store().write_waiting();
  world.run(10'000);

  EXPECT_EQ(sorted_data(world, 1, owner), (std::vector<std::string>{"one", "two"}));
  EXPECT_FALSE(entry.swarm().is_dead(other.key()));
  EXPECT_EQ(entry.swarm().counters().handed_over, 2U);
}

TEST(DeadMember, IsNotHandedWhatHasExpiredMeanwhileAndNobodyKeepsIt) {
  SwarmWorld world(2);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(1).is_up = false;
  world.call(0, "store", owner.store("short", world.now_ms, 0, 60'000));
  const Answer deleted = world.call(0, "store", owner.store("deleted", world.now_ms));
  world.call(0, "delete", owner.remove({std::string(deleted.body.at("hash").as_string())}));
  world.call(0, "store", owner.store("long", world.now_ms, 0, 2 * kMootAfterMs));
  const auto queued = [&world] {
    return world.node(0).store().missed(world.node(1).key(), 0, 1'000'000)->size();
  };
  world.run(10'000);
  EXPECT_EQ(queued(), 4U);
  world.run(2 * kTidyQueuesMs + 60'000);
  EXPECT_EQ(queued(), 3U) << "one was deleted; the other may have been extended elsewhere";
  world.run(kMootAfterMs);
  EXPECT_EQ(queued(), 2U) << "the deletion, and what is alive";
  EXPECT_EQ(world.node(0).swarm().counters().moot, 2U);
  world.node(1).is_up = true;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"long"});
}

TEST(DeadMember, IsHandedWhatWasExtendedWhileItWasAway) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.node(1).is_up = false;
  const Answer stored = world.call(0, "store", owner.store("one", world.now_ms, 0, 60'000));
  const std::string hash(stored.body.at("hash").as_string());
  const std::uint64_t expiry_ms = world.now_ms + 3'600'000;
  const Answer extended = world.call(
      0, "expire",
      owner.signed_params(
          "expireextend" + std::to_string(expiry_ms) + hash,
          {{"messages", json::array{hash.c_str()}}, {"expiry", expiry_ms}, {"extend", true}}));
  ASSERT_EQ(extended.status, Status::ok);
  world.run(120'000);
  world.node(1).is_up = true;
  world.run(30'000);
  const auto expiries =
      world.node(1).store().expiries(owner.account(), {hash}, world.now_ms).value();
  ASSERT_EQ(expiries.size(), 1U);
  EXPECT_EQ(expiries[0].expiry_ms, expiry_ms);
}

/// Stores `count` messages that live for 20 minutes at both members, and has them live until `until_ms` while the second is away.
class ExtendedWhileOneIsAway : public testing::Test {
 protected:
  void begin(std::size_t count, std::size_t bytes, std::uint64_t until_ms) {
    json::array hashes;
    std::string text = "expireextend" + std::to_string(until_ms);
    for (std::size_t i = 0; i < count; ++i) {
      const Answer stored = world.call(
          0, "store",
          owner.store(std::to_string(i) + std::string(bytes, '.'), world.now_ms, 0, 20 * 60'000));
      hashes.push_back(stored.body.at("hash"));
      text += hashes.back().as_string();
    }
    world.run(1'000);
    all = sorted_data(world, 1, owner);
    ASSERT_EQ(world.node(1).store().status().messages, count);
    world.node(1).is_up = false;
    world.run(60'000);
    const Answer extended = world.call(
        0, "expire",
        owner.signed_params(text, {{"messages", hashes}, {"expiry", until_ms}, {"extend", true}}));
    ASSERT_EQ(extended.status, Status::ok);
  }

  void come_back_after(std::uint64_t ms) {
    world.run(ms);
    world.node(1).store().reclaim(world.now_ms - kFreedAfterMs, [](const Result<std::size_t>&) {});
    queued = world.node(0).swarm().counters().queued;
    freed = world.node(1).store().status().messages == 0;
    world.node(1).is_up = true;
    world.run(60'000);
  }

  SwarmWorld world{2};
  const TestAccount owner{5, 1};
  std::vector<std::string> all;
  std::uint64_t queued = 0;
  bool freed = false;
};

TEST_F(ExtendedWhileOneIsAway, IsThereAlsoWhereItHadRunOutAndWasFreed) {
  begin(3, 10, world.now_ms + 2 * 3'600'000);
  come_back_after(40 * 60'000);
  ASSERT_TRUE(freed);
  EXPECT_EQ(sorted_data(world, 1, owner), all);
  EXPECT_EQ(sorted_data(world, 0, owner), all);
  const auto page = world.node(1).store().retrieve(owner.account(), 0, "", {}, world.now_ms);
  const auto there = world.node(0).store().retrieve(owner.account(), 0, "", {}, world.now_ms);
  ASSERT_EQ(page->messages.size(), 3U);
  EXPECT_EQ(page->messages[0].expiry_ms, there->messages[0].expiry_ms);
}

TEST_F(ExtendedWhileOneIsAway, IsHandedOverInRounds) {
  begin(100, 70'000, world.now_ms + 2 * 3'600'000);
  come_back_after(40 * 60'000);
  ASSERT_TRUE(freed);
  EXPECT_EQ(world.node(1).store().status().messages, 100U);
  EXPECT_TRUE(world.node(0).store().missed(world.node(1).key(), 0, 1'000)->empty());
}

TEST_F(ExtendedWhileOneIsAway, IsNotHandedOverWhereItIsStillThere) {
  begin(3, 10, world.now_ms + 2 * 3'600'000);
  come_back_after(22 * 60'000);
  ASSERT_FALSE(freed);
  EXPECT_EQ(sorted_data(world, 1, owner), all);
  EXPECT_EQ(world.node(0).swarm().counters().queued, queued) << "hidden there, and not freed";
}

/// What it was said to be when it was stored is over before the member that missed it comes back.
class ShortLivedWhileOneIsAway : public testing::Test {
 protected:
  std::string store(std::uint64_t ttl_ms) {
    const Answer stored = world.call(0, "store", owner.store("m", world.now_ms, 0, ttl_ms));
    EXPECT_EQ(stored.status, Status::ok);
    return std::string(stored.body.at("hash").as_string());
  }

  void extend(const std::string& hash, std::uint64_t until_ms) {
    const std::string text = "expire" + std::to_string(until_ms) + hash;
    const Answer extended = world.call(
        0, "expire",
        owner.signed_params(text, {{"messages", json::array{hash}}, {"expiry", until_ms}}));
    EXPECT_EQ(extended.status, Status::ok);
  }

  void come_back_after(std::uint64_t ms) {
    world.run(ms);
    world.node(1).is_up = true;
    world.run(60'000);
  }

  storage::Message message_at(std::size_t node) {
    const auto page = world.node(node).store().retrieve(owner.account(), 0, "", {}, world.now_ms);
    return page && page->messages.size() == 1 ? page->messages.front() : storage::Message{};
  }

  SwarmWorld world{2};
  const TestAccount owner{5, 1};
};

TEST_F(ShortLivedWhileOneIsAway, ComesBackAlsoWhereItWasDeletedBefore) {
  const std::string hash = store(3'600'000);
  world.call(0, "delete", owner.remove({hash}));
  world.run(1'000);
  world.node(1).is_up = false;
  world.run(10'000);
  ASSERT_EQ(store(12'000), hash);
  extend(hash, world.now_ms + 5'400'000);
  come_back_after(20'000);
  EXPECT_EQ(message_at(0).data, "m");
  EXPECT_EQ(message_at(1).data, "m");
  EXPECT_EQ(message_at(1).expiry_ms, message_at(0).expiry_ms);
}

TEST(SlowClock, CostsAMemberNothingThatOthersHave) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.node(1).clock_behind_ms = 9'000;
  Answer answer = world.call(0, "store", owner.store("one", world.now_ms + 9'000));
  EXPECT_FALSE(member(answer, world.node(1)).contains("failed")) << "a little: members bear it";
  world.node(1).clock_behind_ms = 600'000;
  answer = world.call(0, "store", owner.store("two", world.now_ms));
  EXPECT_TRUE(member(answer, world.node(1)).contains("failed"));
  world.run(60'000);
  world.node(1).clock_behind_ms = 0;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 1, owner), (std::vector<std::string>{"one", "two"}));
}

TEST(DeadEntry, LeavesNoCommandHalfDone) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer stored = world.call(0, "store", owner.store("old", world.now_ms));
  const std::string hash(stored.body.at("hash").as_string());
  // It dies when the commands are on its disk, and before they are with anybody.
  for (const auto& [method, params] :
       {std::pair("store", owner.store("new", world.now_ms)), {"delete", owner.remove({hash})}}) {
    world.node(0).rpc().call(method, params, Format::json, RpcSource::client, [](const Answer&) {});
  }
  world.node(0).is_up = false;
  world.run(kSwarmTimeoutMs / 2);
  world.node(0).restart();
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"old"});

  world.node(0).is_up = true;
  world.node(0).swarm().start(world.node(0).rpc());
  world.run(30'000);

  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(sorted_data(world, node, owner), std::vector<std::string>{"new"}) << node;
  }
  EXPECT_FALSE(world.node(0).swarm().is_dead(world.node(1).key()));
  EXPECT_EQ(world.node(0).swarm().counters().finished_late, 2U);
}

TEST(DeadEntry, FinishesForAMemberThatIsAwayAsWell) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(0).rpc().call("store", owner.store("new", world.now_ms), Format::json,
                           RpcSource::client, [](const Answer&) {});
  world.node(0).is_up = false;
  world.run(kSwarmTimeoutMs / 2);
  world.node(0).restart();
  world.run(30'000);
  world.node(2).is_up = false;

  world.node(0).is_up = true;
  world.node(0).swarm().start(world.node(0).rpc());
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"new"});
  world.node(2).is_up = true;
  world.run(30'000);

  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"new"});
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
}

TEST(DeadEntry, GivesItToTheOthersOnceWhereItHasNoRoomItself) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  world.node(0).rpc().call("store", owner.store("new", world.now_ms), Format::json,
                           RpcSource::client, [](const Answer&) {});
  world.node(0).is_up = false;
  world.run(kSwarmTimeoutMs / 2);
  world.node(0).restart();
  world.run(30'000);
  world.node(2).is_up = false;
  world.node(0).is_up = true;
  world.start(0);
  world.run(kSwarmTimeoutMs + 1'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"new"});

  world.node(1).served.clear();
  world.run(5 * kFinishRetryMs);
  EXPECT_EQ(commands_to(world.node(1)), std::vector<std::string>());
  EXPECT_EQ(world.node(0).store().missed(world.node(2).key(), 0, 1'000'000)->size(), 1U);

  world.node(0).store().is_full_of_messages = false;
  world.run(kRefusedRetryMs + 1'000);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"new"});
}

TEST(DeadEntry, ForgetsWhatAllHaveHad) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  for (const char* text : {"one", "two"}) {
    world.call(0, "store", owner.store(text, world.now_ms));
  }
  EXPECT_FALSE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());

  world.node(0).swarm().start(world.node(0).rpc());
  world.run(2 * kForgetIntervalMs);

  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
  EXPECT_EQ(world.node(0).swarm().counters().finished_late, 0U);
}

TEST(StoppedMember, DoesNotBringBackWhatWasDeletedWhileItStood) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  const Answer stored = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(stored.body.at("hash").as_string());
  const std::uint64_t deleted_ms = world.now_ms;
  world.call(0, "delete", owner.remove({hash}));
  const auto forwarded = [&](std::uint64_t asked_ms) {
    const json::object params = {{"pubkey", owner.hex()},
                                 {"timestamp", deleted_ms},
                                 {"expiry", deleted_ms + 3'600'000},
                                 {"data", to_base64(bytes_of("one"))},
                                 {"asked", stamp(asked_ms)}};
    world.call(1, "store", params, Format::json, RpcSource::peer);
    return sorted_data(world, 1, owner);
  };

  EXPECT_TRUE(forwarded(deleted_ms).empty());
  EXPECT_EQ(forwarded(deleted_ms + 5'000), std::vector<std::string>{"one"});
}

TEST(DeadSwarm, IsAFailureWhenNobodyCouldKeepIt) {
  SwarmWorld world(1);

  // A store without room: the only member fails.
  class Full final : public SwarmMembers {
    [[nodiscard]] std::vector<NodeKey> others() const override { return {}; }

    std::function<void(bool)> forward(SwarmCommand, std::function<void(MemberReply)>,
                                      std::function<void(bool)>) override {
      return [](bool) {};
    }

    void took_alone(const SwarmCommand&) override {}
  } nobody;

  storage::MemoryStore full(1);
  TestNode& node = world.node(0);
  StorageRpc rpc({full,
                  node.identity,
                  node.membership,
                  nobody,
                  system_random(),
                  [&] { return world.now_ms; },
                  [](const std::function<void()>& what) { what(); },
                  {},
                  {},
                  {}});
  const TestAccount owner(5, 1);
  Answer answer;
  rpc.call("store", owner.store("x", world.now_ms), Format::json, RpcSource::client,
           [&](Answer given) { answer = std::move(given); });
  EXPECT_EQ(answer.status, Status::internal);
  EXPECT_FALSE(answer.body.as_object().contains("hash"));
  EXPECT_EQ(member(answer, node).at("query_failure"), json::value(true));
}

}  // namespace
}  // namespace allium::control::test
