// SPDX-License-Identifier: Apache-2.0

// Members and entry nodes that have no room.

#include <gtest/gtest.h>

#include "control/service/swarm_peers.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace json = boost::json;

namespace {

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

// Its client is told that it has failed. A member that stood still does it all the same, and it alone would have.
TEST(FullEntry, TellsAllLaterWhatMembersWhoStoodStillMayHaveDone) {
  SwarmWorld world(3);
  for (std::size_t node = 0; node < world.size(); ++node) {
    world.start(node);
  }
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  world.run(60'000);
  const json::object removal = owner.remove({std::string(kept.body.at("hash").as_string())});
  world.node(0).store().failure = {Errc::full, "nothing can be written"};
  for (const std::size_t node : {1U, 2U}) {
    world.node(node).silent_on = {"sn.storage_cc", "sn.allium_keep"};
  }
  EXPECT_EQ(world.call(0, "delete", removal).status, Status::internal);
  json::object late = removal;
  late["asked"] = stamp(world.now_ms);
  world.call(2, "delete", late, Format::json, RpcSource::late_peer);
  world.node(0).store().failure.reset();
  for (const std::size_t node : {1U, 2U}) {
    world.node(node).silent_on.clear();
  }
  world.run(60'000);

  for (std::size_t node = 0; node < world.size(); ++node) {
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

TEST(FullEntry, HasAnotherKeepWhatAMemberWhoIsAwayMisses) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  world.node(0).store().is_full = true;
  world.node(2).is_up = false;
  const Answer answer =
      world.call(0, "delete", owner.remove({std::string(kept.body.at("hash").as_string())}));
  EXPECT_EQ(answer.status, Status::ok);
  EXPECT_EQ(member(answer, world.node(2)).at("timeout"), json::value(true));
  EXPECT_EQ(world.node(0).swarm().counters().kept_by_others, 2U) << "for the entry, too";
  world.node(2).is_up = true;
  world.run(30'000);
  EXPECT_TRUE(sorted_data(world, 2, owner).empty());
}

TEST(FullEntry, AcknowledgesNothingThatAMemberWhoIsAwayWillNotHear) {
  SwarmWorld world(3);
  const TestAccount owner(5, 1);
  const Answer kept = world.call(0, "store", owner.store("old", world.now_ms));
  world.node(0).store().is_full = true;
  world.node(1).store().is_full = true;
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
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
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
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
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
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
}

/// With half of its reserve used.
storage::StoreStatus hardly_any_room() {
  storage::StoreStatus status;
  status.bytes_limit = 320;
  status.bytes_used = 331;
  return status;
}

TEST(FullEntry, HasAnotherKeepItToLeaveTheReserveToDeletions) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  world.node(0).store().says = hardly_any_room();
  EXPECT_EQ(world.call(0, "store", owner.store("one", world.now_ms)).status, Status::ok);
  world.run(1'000);
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
  EXPECT_EQ(world.node(0).swarm().counters().kept_by_others, 1U);
  world.node(0).store().is_full_of_messages = false;
  world.run(2 * kRefusedRetryMs);
  EXPECT_EQ(sorted_data(world, 0, owner), std::vector<std::string>{"one"});
}

TEST(FullEntry, LeavesTheReserveToDeletionsInALaterProcessToo) {
  SwarmWorld world(3);
  world.start(0);
  const TestAccount owner(5, 1);
  world.node(0).store().is_full_of_messages = true;
  world.call(0, "store", owner.store("one", world.now_ms));
  world.node(0).is_up = false;
  world.run(30'000);
  world.node(0).restart();
  world.node(0).is_up = true;
  world.node(0).store().says = hardly_any_room();
  world.start(0);
  world.run(kSwarmTimeoutMs);
  EXPECT_TRUE(world.node(0).store().missed(kBegunQueue, 0, 1'000'000)->empty());
  EXPECT_EQ(world.node(0).swarm().counters().lost_records, 1U);
}

}  // namespace
}  // namespace allium::control::test
