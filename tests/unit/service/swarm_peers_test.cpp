// SPDX-License-Identifier: Apache-2.0

// Swarms whose members die, come back, join and leave.

#include "control/service/swarm_peers.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/internal/message_hash.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

/// As bt has it.
std::int64_t stamp(std::uint64_t ms) {
  return static_cast<std::int64_t>(storage::stamp_of(ms));
}

void expect_expiry_everywhere(SwarmWorld& world, const TestAccount& owner, const std::string& hash,
                              std::uint64_t expiry_ms) {
  for (std::size_t node = 0; node < world.size(); ++node) {
    const auto found = world.node(node).store().expiries(owner.account(), {hash}, world.now_ms);
    ASSERT_EQ(found->size(), 1U) << node;
    EXPECT_EQ(found->front().expiry_ms, expiry_ms) << node;
  }
}

const json::object& member(const Answer& answer, const TestNode& node) {
  return answer.body.at("swarm").at(to_hex(node.key())).as_object();
}

/// Of those that came, what hands on clients' commands.
std::vector<std::string> commands_to(const TestNode& node) {
  std::vector<std::string> commands;
  for (const char* command : {"sn.allium_late", "sn.data", "sn.storage_cc"}) {
    if (node.served.contains(command)) {
      commands.emplace_back(command);
    }
  }
  return commands;
}

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
  world.call(0, "store", owner.store("long", world.now_ms));
  const auto queued = [&world] {
    return world.node(0).store().missed(world.node(1).key(), 0, 1'000'000)->size();
  };
  world.run(10'000);
  EXPECT_EQ(queued(), 4U);
  world.run(2 * kTidyQueuesMs + 60'000);
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
  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
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
  EXPECT_FALSE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());

  world.node(0).swarm().start(world.node(0).rpc());
  world.run(2 * kForgetIntervalMs);

  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
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

// Commands that reach one member late, and in another order than the others had them.

TEST(LateCommand, BringsBackWhatAClientStoredAgain) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  world.node(2).is_up = false;
  world.call(0, "delete", owner.remove({hash}));
  world.call(0, "store", owner.store("one", world.now_ms));
  world.node(2).is_up = true;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
}

TEST(LateCommand, DeletesAllThatWasThereWhateverItsTimestamp) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.call(0, "store", owner.store("ahead", world.now_ms + 8'000));
  world.node(2).is_up = false;
  const std::string now = std::to_string(world.now_ms);
  world.call(0, "delete_all",
             owner.signed_params("delete_all" + now, {{"timestamp", world.now_ms}}));
  world.call(0, "store", owner.store("after", world.now_ms - 1'000));
  world.node(2).is_up = true;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"after"});
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"after"});
}

TEST(LateCommand, DoesNotUndoWhatWasAskedForLater) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  const std::string token(36, 't');
  const auto say = [&](std::size_t node, const std::string& what) {
    world.call(node, what + "_subaccount",
               owner.signed_params(what + "_subaccount" + std::to_string(world.now_ms) + token,
                                   {{what, to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
  };
  const auto expire = [&](std::size_t node, std::uint64_t expiry_ms) {
    world.call(node, "expire",
               owner.signed_params("expire" + std::to_string(expiry_ms) + hash,
                                   {{"expiry", expiry_ms}, {"messages", json::array{hash}}}));
  };
  // What node 0 queues for node 2 is handed over when node 1 has told it of later things already.
  world.node(2).is_up = false;
  say(0, "unrevoke");
  expire(0, world.now_ms + 100'000);
  world.node(0).is_up = false;
  world.node(2).is_up = true;
  world.run(1'000);
  const std::uint64_t expiry_ms = world.now_ms + 1'000'000;
  say(1, "revoke");
  expire(1, expiry_ms);
  world.node(0).is_up = true;
  world.run(60'000);

  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_EQ(world.node(node).store().revoked(owner.account())->size(), 1U) << node;
  }
  expect_expiry_everywhere(world, owner, hash, expiry_ms);
}

TEST(LateCommand, ShortensWhatComesAfterIt) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  const std::uint64_t expiry_ms = world.now_ms + 1'000'000;
  world.call(1, "expire_all",
             owner.signed_params("expire_all" + std::to_string(expiry_ms),
                                 {{"expiry", expiry_ms}, {"namespace", 0}}));
  // Node 1 hands it over before node 0 comes with what it is about.
  world.node(0).is_up = false;
  world.node(2).is_up = true;
  world.run(10'000);
  EXPECT_TRUE(sorted_data(world, 2, owner).empty());
  world.node(0).is_up = true;
  world.run(60'000);

  expect_expiry_everywhere(world, owner, hash, expiry_ms);
}

TEST(LateCommand, BringsBackWhatWasExtendedBeforeItWasOver) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  const auto expire = [&](std::size_t node, const char* how, std::uint64_t expiry_ms) {
    const Answer answer = world.call(
        node, "expire",
        owner.signed_params("expire" + std::string(how) + std::to_string(expiry_ms) + hash,
                            {{"messages", json::array{hash}}, {"expiry", expiry_ms}, {how, true}}));
    EXPECT_EQ(answer.status, Status::ok);
  };
  const std::uint64_t expiry_ms = world.now_ms + 3 * 3'600'000;
  expire(0, "shorten", world.now_ms + 12'000);
  expire(1, "extend", expiry_ms);
  world.run(14'000);
  // Of the shortening it hears first.
  world.node(1).is_up = false;
  world.node(2).is_up = true;
  world.run(10'000);
  EXPECT_TRUE(sorted_data(world, 2, owner).empty());
  world.node(1).is_up = true;
  world.run(30'000);

  expect_expiry_everywhere(world, owner, hash, expiry_ms);
}

TEST(LateCommand, IsHeldAgainstTheTimeAtWhichItWasAskedFor) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  const std::string token(36, 't');
  const auto revoke = [&](std::uint64_t signed_ms, std::uint64_t asked_ms) {
    const std::string time = std::to_string(signed_ms);
    json::object params =
        owner.signed_params("revoke_subaccount" + time + token,
                            {{"revoke", to_hex(bytes_of(token))}, {"timestamp", signed_ms}});
    params["asked"] = stamp(asked_ms);
    return world.call(1, "revoke_subaccount", params, Format::json, RpcSource::late_peer).status;
  };
  const std::uint64_t now_ms = world.now_ms;
  const std::uint64_t day_ms = 86'400'000;
  EXPECT_EQ(revoke(now_ms - day_ms, now_ms), Status::not_acceptable) << "an old signature";
  EXPECT_EQ(revoke(now_ms - 31 * day_ms, now_ms - 31 * day_ms), Status::bad_request);
  EXPECT_EQ(revoke(now_ms + day_ms, now_ms + day_ms), Status::not_acceptable);
  EXPECT_TRUE(world.node(1).store().revoked(owner.account())->empty());
  EXPECT_EQ(revoke(now_ms - day_ms, now_ms - day_ms), Status::ok);
}

TEST(FullMember, IsToldWhatWasDeletedAndCountsAsAlive) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  world.node(2).store().is_full = true;
  const Answer answer = world.call(0, "store", owner.store("new", world.now_ms));
  EXPECT_EQ(member(answer, world.node(2)).at("code"), "500");
  EXPECT_FALSE(world.node(0).swarm().is_dead(world.node(2).key()));
  const Answer deleted = world.call(0, "delete", owner.remove({hash}));
  EXPECT_FALSE(member(deleted, world.node(2)).contains("failed"))
      << "it need not wait in the queue";
  EXPECT_EQ(world.node(0).swarm().counters().queued, 1U);
  EXPECT_TRUE(world.node(0).swarm().is_behind(world.node(2).key()));
  EXPECT_TRUE(sorted_data(world, 2, owner).empty());
  EXPECT_FALSE(world.node(0).swarm().is_dead(world.node(2).key()));

  world.node(2).store().is_full = false;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"new"});
  EXPECT_TRUE(world.node(0).store().missed(world.node(2).key(), 0, 1'000'000)->empty());
  EXPECT_FALSE(world.node(0).swarm().is_behind(world.node(2).key()));
}

TEST(FullEntry, TellsTheOthersWhatItDeletes) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  world.node(0).store().is_full = true;
  const Answer answer =
      world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  EXPECT_EQ(answer.status, Status::ok);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
  }
}

TEST(FullEntry, KeepsForAnAbsentMemberWhatItHasNoRoomForItself) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  world.call(0, "store", owner.store("when there was room", world.now_ms));
  world.node(0).store().is_full_of_messages = true;
  world.call(0, "store", owner.store("when there was none", world.now_ms));
  world.run(2 * kTidyQueuesMs + 1'000);
  EXPECT_EQ(world.node(0).swarm().counters().moot, 0U);
  world.node(2).is_up = true;
  world.run(30'000);
  EXPECT_EQ(sorted_data(world, 2, owner).size(), 2U);
}

TEST(FullEntry, AcknowledgesNothingThatAMemberWhoIsAwayWillNotHear) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  world.node(0).store().is_full = true;
  world.node(2).is_up = false;
  for (int i = 0; i < 2; ++i) {  // it times out, then it is known to be away
    const Answer answer =
        world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
    EXPECT_EQ(answer.status, Status::internal);
  }
}

TEST(FullEntry, KeepsTheMessageWhenThereIsRoomAgain) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  const Answer answer = world.call(0, "store", owner.store("one", world.now_ms));
  EXPECT_EQ(answer.status, Status::ok);
  ASSERT_TRUE(answer.body.as_object().contains("hash"));
  EXPECT_EQ(answer.body.at("hash"), member(answer, world.node(1)).at("hash"));
  EXPECT_TRUE(member(answer, world.node(0)).contains("failed"));
  world.node(1).served.clear();
  world.run(5 * kRefusedRetryMs);
  EXPECT_TRUE(sorted_data(world, 0, owner).empty());

  world.node(0).store().is_full_of_messages = false;
  world.run(kRefusedRetryMs + 1'000);

  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(commands_to(world.node(1)), std::vector<std::string>()) << "it has had it";
  EXPECT_EQ(world.node(0).swarm().counters().done_again, 1U);
  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
}

TEST(FullEntry, KeepsTheMessageInALaterProcess) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.node(0).is_up = false;
  world.run(30'000);
  world.node(0).restart();
  world.node(0).is_up = true;
  world.start(0);
  world.run(kSwarmTimeoutMs);
  world.node(1).served.clear();
  world.run(5 * kRefusedRetryMs);
  EXPECT_EQ(commands_to(world.node(1)), std::vector<std::string>()) << "it has had it";

  world.node(0).store().is_full_of_messages = false;
  world.run(kRefusedRetryMs + 1'000);

  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"one"});
  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
}

TEST(FullEntry, DoesNotBringBackWhatWasDeletedMeanwhile) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  const Answer answer = world.call(0, "store", owner.store("one", world.now_ms));
  world.run(1'000);
  world.call(1, "delete", owner.remove({std::string(answer.body.at("hash").as_string())}));
  world.node(0).store().is_full_of_messages = false;
  world.run(5 * kRefusedRetryMs);
  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
  }
  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
}

TEST(FullEntry, LeavesTheReserveToDeletions) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  storage::StoreStatus half;
  half.bytes_limit = 320;
  half.bytes_used = 331;
  world.node(0).store().says = half;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.run(1'000);
  EXPECT_TRUE(world.node(0).store().missed(world.node(0).key(), 0, 1'000'000)->empty());
  EXPECT_EQ(world.node(0).swarm().counters().lost_records, 1U);
}

TEST(DeadSwarm, IsAFailureWhenNobodyCouldKeepIt) {
  SwarmWorld world(1);

  // A store without room: the only member fails.
  class Full final : public SwarmMembers {
    [[nodiscard]] std::vector<NodeKey> others() const override { return {}; }

    std::function<void(bool)> forward(SwarmCommand, std::function<void(MemberReply)>) override {
      return [](bool) {};
    }
  } nobody;

  storage::MemoryStore full(1);
  TestNode& node = world.node(0);
  StorageRpc rpc({full,
                  node.identity,
                  node.membership,
                  nobody,
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
  world.node(2).silent_on = {"sn.data"};
  world.assign({7, 7, 7});
  world.run(1'000);
  EXPECT_GT(world.node(0).swarm().counters().messages_pushed, 0U);
  EXPECT_LT(world.node(0).swarm().counters().messages_pushed, 60U) << "4 MB at a time";

  world.node(2).silent_on.clear();
  world.run(60'000);
  EXPECT_EQ(world.node(0).swarm().counters().messages_pushed, kMessages);
  EXPECT_EQ(world.node(2).store().status().messages, kMessages);
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
           std::string(), std::string("\x02le"), std::string("\x01"),
           std::string("\x01"
                       "de"),
           "\x01ll" + key + "0:i1ei2e1:dee", "\x01ll" + key + "4:hashi-1ei2e1:dee",
           "\x01ll" + key + "4:hashi1ei2e1:di99999eee", "\x01ll2:kk4:hashi1ei2e1:dee",
           "\x01ll" + key + "4:hashi1ei2eee"}) {
    EXPECT_FALSE(parse_pushed(payload)) << payload;
  }
}

}  // namespace
}  // namespace allium::control::test
