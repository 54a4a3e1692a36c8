// SPDX-License-Identifier: Apache-2.0

// Commands that reach one member late, and in another order than the others had them.

#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/swarm_peers.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

void expect_expiry_everywhere(SwarmWorld& world, const TestAccount& owner, const std::string& hash,
                              std::uint64_t expiry_ms) {
  for (std::size_t node = 0; node < world.size(); ++node) {
    const auto found = world.node(node).store().expiries(owner.account(), {hash}, world.now_ms);
    ASSERT_EQ(found->size(), 1U) << node;
    EXPECT_EQ(found->front().expiry_ms, expiry_ms) << node;
  }
}

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

/// What a node that has just started is asked, and a member that it holds for dead, and that answers clients, hears of late only.
class AfterARestart : public testing::Test {
 protected:
  AfterARestart() {
    hash = world.call(0, "store", owner.store("one", world.now_ms)).body.at("hash").as_string();
    world.node(1).is_up = false;
    world.call(0, "store", owner.store("two", world.now_ms));
    restart();
    world.node(1).is_up = true;
  }

  void restart() {
    world.node(0).restart();
    world.node(0).swarm().start(world.node(0).rpc());
  }

  void expect_everywhere(const std::vector<std::string>& data) {
    world.run(30'000);
    for (std::size_t node = 0; node < 3; ++node) {
      EXPECT_EQ(sorted_data(world, node, owner), data) << node;
    }
  }

  SwarmWorld world{3};
  const TestAccount owner{5, 1};
  std::string hash;
};

TEST_F(AfterARestart, ADeletionLeavesWhatIsStoredAfterIt) {
  world.call(0, "delete", owner.remove({hash}));
  world.run(300);
  ASSERT_EQ(world.call(1, "store", owner.store("one", world.now_ms)).status, Status::ok);
  expect_everywhere({"one", "two"});
}

TEST_F(AfterARestart, AnEndOfAllLeavesWhatIsStoredAfterIt) {
  const std::uint64_t end_ms = world.now_ms + 1'000;
  const std::string end = std::to_string(end_ms);
  world.call(0, "expire_all", owner.signed_params("expire_all" + end, {{"expiry", end_ms}}));
  world.run(300);
  ASSERT_EQ(world.call(1, "store", owner.store("new", world.now_ms)).status, Status::ok);
  expect_everywhere({"new"});
}

// The deletion's stamp is of a clock that is ahead. Whoever has heard of it gives later ones, and so does the process after him.
TEST_F(AfterARestart, AStoreIsLaterThanADeletionThatTheProcessBeforeHasSeen) {
  world.run(30'000);
  world.node(0).clock_behind_ms = 1'500;
  world.node(2).clock_behind_ms = 1'500;
  world.call(1, "delete", owner.remove({hash}));
  world.run(100);
  restart();
  ASSERT_EQ(world.call(0, "store", owner.store("one", world.now_ms - 1'500)).status, Status::ok);
  expect_everywhere({"one", "two"});
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

TEST(LateCommand, DoesNotBringBackWhatWasDeletedWhileItHadAShorterLife) {
  SwarmWorld world(3);
  world.run(kViewsDifferMs);  // so that nobody passes the deletion on
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms, 0, 10'000));
  const std::string hash(kept.body.at("hash").as_string());
  // Node 1 alone cannot reach node 2. Its store comes when what node 2 deleted would have been over.
  world.node(2).is_up = false;
  world.call(1, "store", owner.store("one", world.now_ms));
  world.node(1).is_up = false;
  world.node(2).is_up = true;
  const Answer deleted = world.call(0, "delete", owner.remove({hash}));
  EXPECT_FALSE(member(deleted, world.node(2)).contains("failed"));
  world.run(15'000);
  world.node(1).is_up = true;
  world.run(60'000);

  for (std::size_t node = 0; node < 3; ++node) {
    EXPECT_TRUE(sorted_data(world, node, owner).empty()) << node;
  }
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

/// A group's member, who may write and delete.
struct GroupMember {
  TestAccount group{3, 9};
  TestAccount person{3, 10};
  std::string token =
      std::string("\x03\x07\0\0", 4) + std::string(text_of(person.key().public_key()));

  [[nodiscard]] json::object store(std::string_view data, std::uint64_t now_ms) const {
    return {
        {"pubkey", group.hex()},
        {"namespace", 11},
        {"timestamp", now_ms},
        {"ttl", 3'600'000},
        {"data", to_base64(bytes_of(data))},
        {"signature", to_base64(person.key().sign(bytes_of("store11" + std::to_string(now_ms))))},
        {"subaccount", to_base64(bytes_of(token))},
        {"subaccount_sig", to_base64(group.key().sign(bytes_of(token)))}};
  }

  [[nodiscard]] json::object revoke(std::uint64_t now_ms) const {
    return group.signed_params("revoke_subaccount" + std::to_string(now_ms) + token,
                               {{"revoke", to_hex(bytes_of(token))}, {"timestamp", now_ms}});
  }
};

// Its client has been told that it is stored.
TEST(LateCommand, OfASubaccountIsObeyedThoughThatIsRevokedNow) {
  for (const bool is_revoked_first : {false, true}) {
    SwarmWorld world(2);
    world.start(0);
    world.start(1);
    world.run(120'000);  // they have asked each other what they had before
    const GroupMember member;
    const auto revoke = [&] {
      world.node(0).is_up = false;
      EXPECT_EQ(world.call(1, "revoke_subaccount", member.revoke(world.now_ms)).status, Status::ok);
      world.node(0).is_up = true;
    };
    const auto store = [&] {
      world.node(1).is_up = false;
      EXPECT_EQ(world.call(0, "store", member.store("one", world.now_ms)).status, Status::ok);
      world.node(1).is_up = true;
    };
    is_revoked_first ? revoke() : store();
    is_revoked_first ? store() : revoke();
    world.run(60'000);

    for (const std::size_t node : {0U, 1U}) {
      EXPECT_EQ(world.node(node).store().status().messages, 1U) << node;
      EXPECT_EQ(world.node(node).store().revoked(member.group.account())->size(), 1U) << node;
    }
    EXPECT_EQ(world.call(0, "store", member.store("two", world.now_ms)).status,
              Status::unauthorised);
  }
}

TEST(LateCommand, OfASubaccountThatIsRevokedIsNotTakenFromAStranger) {
  SwarmWorld world(3);
  const GroupMember member;
  world.assign({7, 7, 9});
  if (!world.node(0).membership.is_ours(member.group.account())) {
    world.assign({9, 9, 7});
  }
  world.run(120'000);
  ASSERT_EQ(world.call(0, "revoke_subaccount", member.revoke(world.now_ms)).status, Status::ok);
  json::object store = member.store("one", world.now_ms);
  store["asked"] = stamp(world.now_ms - 1'000);
  const std::string params = json::serialize(store);
  const NodeKey stranger = x25519_of(world.node(2).key()).value();
  world.node(1).serve(stranger, "sn.storage_cc", {"store", params},
                      [](const PeerParts& parts) { EXPECT_EQ(parts.front(), "401"); });
  world.node(1).serve(stranger, "sn.allium_late",
                      {records_in({storage::Missed{1, command_record({"store", params})}})},
                      [](const PeerParts&) {});
  world.run(60'000);

  EXPECT_EQ(world.node(1).store().status().messages, 0U);
  world.node(1).serve(x25519_of(world.node(0).key()).value(), "sn.storage_cc", {"store", params},
                      [](const PeerParts& parts) { EXPECT_EQ(parts.size(), 1U); });
  EXPECT_EQ(world.node(1).store().status().messages, 1U) << "a member may have taken it before";
}

// Where it was stored again there was nothing of the deletion, and it is hidden until that comes.
TEST(LateCommand, IsKeptForWhoIsAwayWhereItsMessageMayComeBack) {
  SwarmWorld world(2);
  world.start(0);
  world.start(1);
  world.run(120'000);  // they have asked each other what they had before
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms));
  const std::string hash(kept.body.at("hash").as_string());
  world.run(10'000);
  world.node(0).is_up = false;
  ASSERT_EQ(world.call(1, "delete", owner.remove({hash})).status, Status::ok);
  world.node(1).is_up = false;
  world.run(10'000);
  const std::uint64_t before_ms = world.now_ms - 1'000;
  ASSERT_EQ(world.call(0, "store", owner.store("one", world.now_ms)).status, Status::ok);
  ASSERT_EQ(world
                .call(0, "delete_before",
                      owner.signed_params("delete_before" + std::to_string(before_ms),
                                          {{"before", before_ms}}))
                .status,
            Status::ok);
  EXPECT_TRUE(sorted_data(world, 0, owner).empty());
  world.run(3 * kTidyQueuesMs);
  world.node(0).is_up = true;
  world.node(1).is_up = true;
  world.run(60'000);

  for (const std::size_t node : {0U, 1U}) {
    EXPECT_EQ(sorted_data(world, node, owner), std::vector<std::string>{"one"}) << node;
  }
}

// Who was away is given the command by those whom it was taken from, and they have not heard that its message lives on.
TEST(LateCommand, IsKeptForWhoIsAwayWhereItsMessageHasRunOutAndLivesOnElsewhere) {
  SwarmWorld world(3);
  for (std::size_t node = 0; node < world.size(); ++node) {
    world.start(node);
  }
  world.run(120'000);  // they have asked each other what they had before
  const TestAccount owner(5, 1);
  world.node(2).is_up = false;
  const Answer kept = world.call(0, "store", owner.store("one", world.now_ms, 0, 60'000));
  const std::string hash(kept.body.at("hash").as_string());
  world.node(0).is_up = false;
  const std::uint64_t expiry_ms = world.now_ms + 3 * 3'600'000;
  const Answer extended =
      world.call(1, "expire",
                 owner.signed_params(
                     "expireextend" + std::to_string(expiry_ms) + hash,
                     {{"messages", json::array{hash}}, {"expiry", expiry_ms}, {"extend", true}}));
  ASSERT_EQ(extended.status, Status::ok);
  world.node(1).is_up = false;
  world.run(2 * kTidyQueuesMs + 60'000);
  for (const std::size_t node : {0U, 1U, 2U}) {
    world.node(node).is_up = true;
  }
  world.run(60'000);

  expect_expiry_everywhere(world, owner, hash, expiry_ms);
}

TEST(LateCommand, IsPassedOnToWhomItsTakerHasGivenMessagesWhereItIsNewThere) {
  SwarmWorld world(2);
  const TestAccount owner(5, 1);
  world.call(1, "store", owner.store("one", world.now_ms));
  world.add_node();
  world.assign({0, 0, 0});
  world.run(60'000);
  ASSERT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  world.run(600'000);
  json::object params = owner.store("two", world.now_ms);
  params["asked"] = stamp(world.now_ms);
  const std::string record = passed_on_record({"store", json::serialize(params)});
  for (const std::size_t node : {0U, 1U}) {
    world.node(node).serve(x25519_of(world.node(2).key()).value(), "sn.allium_late",
                           {records_in({storage::Missed{1, record}})}, [](const PeerParts&) {});
  }
  world.run(20'000);

  for (const std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(sorted_data(world, node, owner), (std::vector<std::string>{"one", "two"})) << node;
  }
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

}  // namespace
}  // namespace allium::control::test
