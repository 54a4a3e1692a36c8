// SPDX-License-Identifier: Apache-2.0

// Nodes whose stores can write nothing, as on a full disk: what clients ask of them then.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/swarm_peers.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace json = boost::json;

namespace {

const Error kDiskFull{Errc::io, "the message store refuses changes since its disk was full"};

class BrokenEntry : public testing::TestWithParam<Errc> {
 protected:
  BrokenEntry() {
    for (std::size_t node = 0; node < world.size(); ++node) {
      world.start(node);
    }
    for (const char* data : {"deleted", "shortened", "kept"}) {
      const Answer answer = world.call(1, "store", owner.store(data, world.now_ms));
      hashes.emplace_back(answer.body.at("hash").as_string());
    }
    world.run(1'000);
    entry.store().failure = {GetParam(), "nothing can be written"};
  }

  Answer remove(const std::string& hash) { return world.call(0, "delete", owner.remove({hash})); }

  Answer shorten(const std::string& hash, std::uint64_t expiry_ms) {
    return world.call(
        0, "expire",
        owner.signed_params(
            "expireshorten" + std::to_string(expiry_ms) + hash,
            {{"messages", json::array{hash}}, {"expiry", expiry_ms}, {"shorten", true}}));
  }

  Answer revoke() {
    const std::string token(36, 't');
    const std::string time = std::to_string(world.now_ms);
    return world.call(
        0, "revoke_subaccount",
        owner.signed_params("revoke_subaccount" + time + token,
                            {{"revoke", to_hex(bytes_of(token))}, {"timestamp", world.now_ms}}));
  }

  void expect_equal(const std::vector<std::string>& data) {
    const auto first = world.node(1).store().expiries(owner.account(), hashes, world.now_ms);
    const auto revoked = world.node(1).store().revoked(owner.account());
    for (std::size_t node = 0; node < world.size(); ++node) {
      EXPECT_EQ(sorted_data(world, node, owner), data) << node;
      const auto expiries =
          world.node(node).store().expiries(owner.account(), hashes, world.now_ms);
      EXPECT_EQ(*expiries, *first) << node;
      EXPECT_EQ(*world.node(node).store().revoked(owner.account()), *revoked) << node;
      EXPECT_TRUE(world.node(node).store().peers_with_missed()->empty()) << node;
    }
  }

  SwarmWorld world{3};
  TestNode& entry{world.node(0)};
  const TestAccount owner{5, 1};
  std::vector<std::string> hashes;
};

TEST_P(BrokenEntry, DoesAllThatItTookWhenItCanWriteAgain) {
  const Answer stored = world.call(0, "store", owner.store("new", world.now_ms));
  EXPECT_EQ(stored.status, Status::ok);
  EXPECT_TRUE(member(stored, entry).contains("failed"));
  EXPECT_EQ(remove(hashes[0]).status, Status::ok);
  EXPECT_EQ(shorten(hashes[1], world.now_ms + 600'000).status, Status::ok);
  EXPECT_EQ(revoke().status, Status::ok);
  world.run(5 * kRefusedRetryMs);
  EXPECT_EQ(sorted_data(world, 0, owner),
            (std::vector<std::string>{"deleted", "kept", "shortened"}));

  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);

  expect_equal({"kept", "new", "shortened"});
  EXPECT_EQ(entry.store().revoked(owner.account())->size(), 1U);
  EXPECT_EQ(entry.swarm().counters().kept_by_others, 8U) << "of four for each of the others";
  EXPECT_EQ(entry.swarm().counters().lost_records, 0U);
}

TEST_P(BrokenEntry, DoesItInALaterProcess) {
  world.call(0, "store", owner.store("new", world.now_ms));
  remove(hashes[0]);
  entry.is_up = false;
  world.run(60'000);
  entry.restart();
  entry.store().failure.reset();
  entry.is_up = true;
  world.start(0);
  world.run(2 * kRefusedRetryMs);
  expect_equal({"kept", "new", "shortened"});
}

TEST_P(BrokenEntry, IsGivenWhatItHandedOnBeforeItDied) {
  entry.rpc().call("delete", owner.remove({hashes[0]}), Format::json, RpcSource::client,
                   [](const Answer&) {});
  world.run(1);
  entry.is_up = false;
  world.run(60'000);
  EXPECT_EQ(sorted_data(world, 1, owner), (std::vector<std::string>{"kept", "shortened"}));
  entry.restart();
  entry.store().failure.reset();
  entry.is_up = true;
  world.start(0);
  world.run(2 * kRefusedRetryMs);
  expect_equal({"kept", "shortened"});
}

TEST_P(BrokenEntry, LeavesTheOthersEqualWhenItDiesBeforeOneHasAnswered) {
  world.node(2).is_up = false;
  entry.rpc().call("delete", owner.remove({hashes[0]}), Format::json, RpcSource::client,
                   [](const Answer&) {});
  world.run(1'000);
  entry.is_up = false;
  world.node(2).is_up = true;
  world.run(60'000);
  for (std::size_t node = 1; node < world.size(); ++node) {
    EXPECT_EQ(sorted_data(world, node, owner), (std::vector<std::string>{"kept", "shortened"}));
  }
}

TEST_P(BrokenEntry, LeavesTheOthersEqualAlsoWhereTheFirstCannotKeepIt) {
  world.add_node();
  world.assign({7, 7, 7, 7});
  world.run(30'000);
  world.node(1).store().failure = kDiskFull;
  world.node(2).is_up = false;
  entry.rpc().call("delete", owner.remove({hashes[0]}), Format::json, RpcSource::client,
                   [](const Answer&) {});
  world.run(1'000);
  entry.is_up = false;
  world.node(1).store().failure.reset();
  world.node(2).is_up = true;
  world.run(60'000);
  for (std::size_t node = 1; node < world.size(); ++node) {
    EXPECT_EQ(sorted_data(world, node, owner), (std::vector<std::string>{"kept", "shortened"}));
  }
}

TEST_P(BrokenEntry, HandsOnToThoseOfAnotherKind) {
  world.node(1).is_of_our_kind = false;
  EXPECT_EQ(remove(hashes[0]).status, Status::ok);
  EXPECT_FALSE(entry.swarm().is_dead(world.node(1).key()));
  EXPECT_EQ(sorted_data(world, 1, owner), (std::vector<std::string>{"kept", "shortened"}));
  EXPECT_EQ(world.node(2).store().peers_with_missed()->size(), 2U);
}

TEST_P(BrokenEntry, DoesTheCommandsOfASequence) {
  const json::object stored = owner.store("new", world.now_ms);
  const json::object deleted = owner.remove({hashes[0]});
  const Answer answer = world.call(
      0, "sequence",
      {{"requests", json::array{json::object{{"method", "store"}, {"params", stored}},
                                json::object{{"method", "delete"}, {"params", deleted}},
                                json::object{{"method", "retrieve"},
                                             {"params", owner.retrieve(world.now_ms)}}}}});
  for (const json::value& result : answer.body.at("results").as_array()) {
    EXPECT_EQ(result.at("code"), 200);
  }
  EXPECT_EQ(entry.swarm().counters().kept_by_others, 4U);
  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  expect_equal({"kept", "new", "shortened"});
}

TEST_P(BrokenEntry, HasAnotherKeepWhatAnAbsentMemberMisses) {
  world.node(2).is_up = false;
  for (int i = 0; i < 2; ++i) {  // it times out, then it is known to be away
    const Answer answer = remove(hashes[static_cast<std::size_t>(i)]);
    EXPECT_EQ(answer.status, Status::ok);
    EXPECT_EQ(member(answer, world.node(2)).at("timeout"), json::value(true));
  }
  EXPECT_EQ(entry.swarm().counters().kept_by_others, 4U);
  // One after the other: they have it from the member who kept it alone.
  world.node(2).is_up = true;
  world.run(2 * kRefusedRetryMs);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"kept"});
  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  expect_equal({"kept"});
}

TEST_P(BrokenEntry, AsksTheNextWhereOneCannotKeepIt) {
  world.node(1).store().is_full = true;
  world.node(2).store().is_full = false;
  EXPECT_EQ(remove(hashes[0]).status, Status::ok);
  EXPECT_TRUE(world.node(1).served.contains("sn.allium_keep"));
  EXPECT_EQ(world.node(2).store().peers_with_missed()->size(), 2U) << "for both";
  world.node(1).store().is_full = false;
  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  expect_equal({"kept", "shortened"});
}

TEST_P(BrokenEntry, AcknowledgesNothingThatNobodyKeepsForIt) {
  world.node(1).store().is_full = true;
  world.node(2).is_of_our_kind = false;
  const Answer answer = remove(hashes[0]);
  EXPECT_EQ(answer.status, Status::internal);
  EXPECT_FALSE(member(answer, world.node(2)).contains("failed"));
  // It was not done by all, so it is in the end.
  entry.store().failure.reset();
  world.run(3 * kFinishRetryMs);
  EXPECT_EQ(sorted_data(world, 0, owner), (std::vector<std::string>{"kept", "shortened"}));
  world.node(1).store().is_full = false;
  world.run(3 * kFinishRetryMs);
  expect_equal({"kept", "shortened"});
}

TEST_P(BrokenEntry, TellsWhoWasAwayInTheEndWhereNobodyCouldKeepIt) {
  entry.store().failure.reset();
  entry.store().is_full = true;
  world.node(1).store().is_full = true;
  world.node(2).is_up = false;
  EXPECT_EQ(remove(hashes[0]).status, Status::internal);
  EXPECT_EQ(sorted_data(world, 0, owner), (std::vector<std::string>{"kept", "shortened"}));
  world.node(2).is_up = true;
  world.run(3 * kFinishRetryMs);
  EXPECT_EQ(sorted_data(world, 2, owner).size(), 3U);
  entry.store().is_full = false;
  world.run(3 * kFinishRetryMs);
  EXPECT_EQ(sorted_data(world, 2, owner), (std::vector<std::string>{"kept", "shortened"}));
}

// It has become full after it had begun.
TEST_P(BrokenEntry, TellsWhoWasAwayOfWhatItHasBegun) {
  entry.store().failure.reset();
  world.node(1).is_up = false;
  world.node(2).is_up = false;
  remove(hashes[2]);  // they are known to be away
  entry.store().failure = {GetParam(), "nothing can be written"};
  entry.store().good_changes_left = 2;  // what was begun, and done
  EXPECT_EQ(remove(hashes[0]).status, Status::internal);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"shortened"});
  entry.store().failure.reset();
  world.node(1).is_up = true;
  world.node(2).is_up = true;
  world.run(4 * kFinishRetryMs);
  expect_equal({"shortened"});
}

TEST_P(BrokenEntry, TakesAKeeperThatDoesNotAnswerForDead) {
  world.node(1).silent_on = {"sn.allium_keep"};
  EXPECT_EQ(remove(hashes[0]).status, Status::ok);
  EXPECT_TRUE(entry.swarm().is_dead(world.node(1).key()));
  EXPECT_EQ(world.node(2).store().peers_with_missed()->size(), 2U) << "for both";
}

TEST_P(BrokenEntry, KeepsNothingThatNobodyDid) {
  world.node(1).store().failure = kDiskFull;
  world.node(2).store().failure = kDiskFull;
  EXPECT_EQ(remove(hashes[0]).status, Status::internal);
  for (std::size_t node = 0; node < world.size(); ++node) {
    world.node(node).store().failure.reset();
  }
  world.run(5 * kRefusedRetryMs);
  expect_equal({"deleted", "kept", "shortened"});
}

TEST_P(BrokenEntry, IsAFailureOfTheOnlyMember) {
  world.assign({7, kNoSwarm, kNoSwarm});
  EXPECT_EQ(remove(hashes[0]).status, Status::internal);
}

TEST_P(BrokenEntry, MayBreakAgainWhileItCatchesUp) {
  for (const std::string& hash : hashes) {
    EXPECT_EQ(remove(hash).status, Status::ok);
  }
  entry.store().good_changes_left = 1;
  world.run(5 * kRefusedRetryMs);
  EXPECT_EQ(sorted_data(world, 0, owner).size(), 2U);
  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  expect_equal({});
}

TEST_P(BrokenEntry, LeavesWhatWasAskedForLater) {
  EXPECT_EQ(remove(hashes[0]).status, Status::ok);
  world.run(1'000);
  world.call(1, "store", owner.store("deleted", world.now_ms - 1'000));
  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  const auto expected = sorted_data(world, 1, owner);
  EXPECT_EQ(expected.size(), 3U);
  expect_equal(expected);
}

INSTANTIATE_TEST_SUITE_P(OnAFullDisk, BrokenEntry, testing::Values(Errc::io));
INSTANTIATE_TEST_SUITE_P(Busy, BrokenEntry, testing::Values(Errc::unavailable));

// Whether a subaccount was revoked cannot be read while the store is opened again.
TEST(ReopeningEntry, RefusesForNowWhatASubaccountSigned) {
  SwarmWorld world(2);
  world.run(60'000);  // both have asked each other what they had before
  const TestAccount group(3, 9);
  const TestAccount person(3, 10);
  std::string token = {3, 3, 0, 0};  // it may read and write
  token += text_of(person.key().public_key());
  const std::string now = std::to_string(world.now_ms);
  const json::object store = {
      {"pubkey", group.hex()},
      {"namespace", 11},
      {"timestamp", world.now_ms},
      {"ttl", 3'600'000},
      {"data", to_base64(bytes_of("one"))},
      {"signature", to_base64(person.key().sign(bytes_of("store11" + now)))},
      {"subaccount", to_base64(bytes_of(token))},
      {"subaccount_sig", to_base64(group.key().sign(bytes_of(token)))}};

  world.node(0).store().is_unreadable = true;
  EXPECT_EQ(world.call(0, "store", store).status, Status::internal);
  EXPECT_EQ(world.node(1).store().status().messages, 0U);

  world.node(0).store().is_unreadable = false;
  EXPECT_EQ(world.call(0, "store", store).status, Status::ok);
  EXPECT_EQ(world.node(1).store().status().messages, 1U);
}

class BrokenQueue : public testing::TestWithParam<Errc> {
 protected:
  BrokenQueue() {
    world.node(1).is_up = false;
    for (std::size_t i = 0; i < messages; ++i) {
      const std::string data = std::to_string(i) + std::string(60'000, 'm');
      world.call(0, "store", owner.store(data, world.now_ms));
    }
    entry.store().failure = {GetParam(), "nothing can be written"};
    world.node(1).is_up = true;
  }

  SwarmWorld world{2};
  TestNode& entry{world.node(0)};
  const TestAccount owner{5, 1};
  const std::size_t messages = 40;  // more than one hand-over
};

TEST_P(BrokenQueue, IsHandedOverOnceAndToItsEnd) {
  world.run(6 * kRefusedRetryMs);
  EXPECT_EQ(world.node(1).store().status().messages, messages);
  EXPECT_EQ(entry.swarm().counters().handed_over, messages);
  EXPECT_FALSE(entry.store().peers_with_missed()->empty());

  entry.store().failure.reset();
  world.run(2 * kRefusedRetryMs);
  EXPECT_TRUE(entry.store().peers_with_missed()->empty());
  EXPECT_FALSE(entry.swarm().is_behind(world.node(1).key()));
  EXPECT_EQ(entry.swarm().counters().handed_over, messages);
}

INSTANTIATE_TEST_SUITE_P(ErrorsOfAStore, BrokenQueue,
                         testing::Values(Errc::io, Errc::full, Errc::unavailable));

class Keeper : public testing::Test {
 protected:
  Keeper() {
    world.run(60'000);  // all have asked each other what they had before
  }

  /// Its answer to `asker`.
  PeerParts ask(const TestNode& asker, PeerParts parts) {
    PeerParts answer;
    world.node(1).serve(x25519_of(asker.key()).value(), "sn.allium_keep", parts,
                        [&](PeerParts given) { answer = std::move(given); });
    world.run(10);
    return answer;
  }

  [[nodiscard]] std::string store_of(const TestAccount& account) const {
    return serialise_bt(json::object{{"pubkey", text_of(account.account())},
                                     {"timestamp", world.now_ms},
                                     {"expiry", world.now_ms + 3'600'000},
                                     {"data", "one"},
                                     {"asked", stamp(world.now_ms)}});
  }

  [[nodiscard]] static std::string list(const std::vector<NodeKey>& keys) {
    json::array list;
    for (const NodeKey& key : keys) {
      list.emplace_back(text_of(key));
    }
    return serialise_bt(list);
  }

  void expect_nothing_kept() { EXPECT_TRUE(world.node(1).store().peers_with_missed()->empty()); }

  SwarmWorld world{4};
  const TestAccount owner{5, 1};
};

TEST_F(Keeper, KeepsForEachMemberWhatItHasDoneItself) {
  const PeerParts answer = ask(
      world.node(0), {"store", store_of(owner), list({world.node(0).key(), world.node(2).key()})});
  EXPECT_EQ(answer.size(), 1U);
  EXPECT_EQ(sorted_data(world, 1, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(world.node(1).store().peers_with_missed()->size(), 2U);
  world.run(2 * kRefusedRetryMs);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"one"});
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  EXPECT_TRUE(sorted_data(world, 3, owner).empty());
  expect_nothing_kept();
}

TEST_F(Keeper, RefusesWhatNoClientHasSigned) {
  const std::string params =
      serialise_bt(json::object{{"pubkey", text_of(owner.account())},
                                {"messages", json::array{std::string(43, 'a')}},
                                {"signature", std::string(64, 's')},
                                {"pubkey_ed25519", std::string(32, 'k')},
                                {"asked", stamp(world.now_ms)}});
  EXPECT_EQ(ask(world.node(0), {"delete", params, list({world.node(0).key()})}).size(), 2U);
  EXPECT_EQ(ask(world.node(0), {"info", "de", list({world.node(0).key()})}).size(), 2U);
  EXPECT_EQ(ask(world.node(0), {"batch", "de", list({world.node(0).key()})}).size(), 2U);
  expect_nothing_kept();
}

TEST_F(Keeper, RefusesWhatWouldNotGoIntoAHandOver) {
  const std::string padding = std::to_string(9'000'000) + ':' + std::string(9'000'000, 'z');
  std::string params = store_of(owner);
  params.insert(params.size() - 1, "2:zz" + padding);
  const PeerParts answer = ask(world.node(0), {"store", params, list({world.node(0).key()})});
  ASSERT_EQ(answer.size(), 2U);
  EXPECT_EQ(answer[0], "413");
  EXPECT_TRUE(sorted_data(world, 1, owner).empty());
  expect_nothing_kept();
}

TEST_F(Keeper, DropsWhatDoesNotGoIntoAHandOver) {
  const std::string too_much = serialise_bt(json::array{"store", std::string(11'000'000, 'z')});
  world.node(1).store().enqueue_missed(world.node(2).key(), {too_much}, [](const auto&) {});
  ask(world.node(0), {"store", store_of(owner), list({world.node(2).key()})});
  world.run(5 * kRefusedRetryMs);

  EXPECT_FALSE(world.node(1).swarm().is_dead(world.node(2).key()));
  EXPECT_EQ(world.node(1).swarm().counters().lost_records, 1U);
  EXPECT_EQ(sorted_data(world, 2, owner), std::vector<std::string>{"one"});
  expect_nothing_kept();
}

TEST_F(Keeper, RefusesAllButMembersOfItsSwarm) {
  const std::string params = store_of(owner);
  world.assign({7, 7, 7, kNoSwarm});
  const NodeKey stranger = world.node(3).key();
  EXPECT_EQ(ask(world.node(3), {"store", params, list({world.node(0).key()})}).front(), "421");
  EXPECT_EQ(ask(world.node(0), {"store", params, list({stranger})}).front(), "421");
  EXPECT_EQ(ask(world.node(0), {"store", params, list({world.node(0).key(), stranger})}).front(),
            "421");
  EXPECT_EQ(ask(world.node(0), {"store", params, list({world.node(1).key()})}).front(), "421");
  EXPECT_EQ(ask(world.node(0), {"store", params, list({})}).front(), "421");
  EXPECT_EQ(ask(world.node(0), {"store", params, "junk"}).front(), "421");
  EXPECT_EQ(ask(world.node(0), {"store", params}).front(), "400");
  EXPECT_TRUE(world.node(1).store().peers_with_missed()->empty());
  EXPECT_TRUE(sorted_data(world, 1, owner).empty());
}

TEST_F(Keeper, SaysThatItHasNoRoom) {
  world.node(1).store().failure = kDiskFull;
  world.node(1).store().good_changes_left = 2;  // the message and the first queue
  const PeerParts answer = ask(
      world.node(0), {"store", store_of(owner), list({world.node(0).key(), world.node(2).key()})});
  ASSERT_EQ(answer.size(), 2U);
  EXPECT_EQ(answer.front(), "500");
}

}  // namespace
}  // namespace allium::control::test
