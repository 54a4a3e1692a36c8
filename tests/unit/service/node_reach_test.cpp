// SPDX-License-Identifier: Apache-2.0

// Nodes that die, are slow, or carry much, on a clock and a network of the
// test's own.

#include "control/service/node_reach.hpp"

#include <optional>

#include <gtest/gtest.h>

#include "tests/unit/network/test_network.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

class NodeReachTest : public testing::Test, protected PeerTransport {
 protected:
  NodeReachTest() { keep({node}); }

  void keep(const std::vector<NodeKey>& keys) {
    std::vector<ServiceNode> list;
    for (const NodeKey& key : keys) {
      ServiceNode one;
      one.legacy = one.ed25519 = key;
      list.push_back(one);
    }
    membership.update(std::make_shared<const ServiceNodes>(list), ++height);
  }

  void request(const ServiceNode& to, std::string command, PeerParts /*parts*/,
               std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) override {
    EXPECT_EQ(to.ed25519, node);
    EXPECT_EQ(command, "sn.ping");
    ++pings;
    const bool is_answered = pong_ms && *pong_ms < timeout_ms;
    after(is_answered ? *pong_ms : timeout_ms,
          [done, reply = is_answered ? pong_reply : Result<PeerParts>(fail(silence, "no answer"))] {
            done(reply);
          });
  }

  void after(std::uint64_t delay_ms, std::function<void()> then) override {
    due.emplace(now_ms + delay_ms, std::move(then));
  }

  void run(std::uint64_t duration_ms) {
    const std::uint64_t end_ms = now_ms + duration_ms;
    while (!due.empty() && due.begin()->first <= end_ms) {
      const auto what = std::move(due.begin()->second);
      now_ms = due.begin()->first;
      due.erase(due.begin());
      what();
    }
    now_ms = end_ms;
  }

  std::uint64_t begun(std::size_t bytes = 100) {
    return reach.begun(node, bytes, [this] { ++ended_dead; });
  }

  const NodeKey node = TestAccount(3, 1).key().public_key();
  Membership membership{TestAccount(3, 2).key().public_key()};
  std::uint64_t height = 0;
  std::uint64_t now_ms = 1'000'000;
  std::multimap<std::uint64_t, std::function<void()>> due;
  std::optional<std::uint64_t> pong_ms = 1;  ///< nothing: it does not answer
  Result<PeerParts> pong_reply = PeerParts{"pong"};
  Errc silence = Errc::timeout;
  int pings = 0;
  int ended_dead = 0;
  NodeReach reach{{membership, *this, [this] { return now_ms; }}};
};

TEST_F(NodeReachTest, ADeadNodeIsFoundBeforeClientsGiveUpAndAllWhoWaitHearOfIt) {
  pong_ms.reset();
  static_cast<void>(begun());
  run(1'000);
  static_cast<void>(begun());
  EXPECT_EQ(pings, 0);
  run(8'000);
  EXPECT_EQ(pings, 1);
  EXPECT_TRUE(reach.is_dead(node));
  EXPECT_EQ(ended_dead, 2);

  run(60'000);
  EXPECT_TRUE(reach.is_dead(node));
  EXPECT_EQ(ended_dead, 2);
  pong_ms = 1;
  run(kReachIntervalMs + kReachPingTimeoutMs);
  EXPECT_FALSE(reach.is_dead(node));
  const int pings_until_back = pings;
  run(60'000);
  EXPECT_EQ(pings, pings_until_back) << "nothing waits for it";
}

TEST_F(NodeReachTest, ANodeThatWaitsForAnotherIsNotDead) {
  const std::uint64_t number = begun();
  pong_ms = kReachPingTimeoutMs - 1;
  for (int second = 0; second < 30; ++second) {
    run(1'000);
    EXPECT_FALSE(reach.is_dead(node));
  }
  EXPECT_LE(pings, 8);
  EXPECT_GE(pings, 3);
  reach.ended(node, number);
  EXPECT_EQ(ended_dead, 0);
}

TEST_F(NodeReachTest, ANodeThatIsSentMuchHasTimeForIt) {
  const std::uint64_t number = begun(10'000'000);
  pong_ms = 10'000;  // behind ten megabytes, over 8 Mbit/s
  run(20'000);
  EXPECT_FALSE(reach.is_dead(node));
  EXPECT_EQ(ended_dead, 0);
  reach.ended(node, number);
}

TEST_F(NodeReachTest, HoweverMuchANodeIsSentItIsFoundDeadBeforeAllHaveGivenUp) {
  pong_ms.reset();
  static_cast<void>(begun(54'000'000));
  run(kReachPatienceMs + kReachPingTimeoutMs + kReachBehindMsMax);
  EXPECT_TRUE(reach.is_dead(node));
  EXPECT_EQ(ended_dead, 1);
}

TEST_F(NodeReachTest, ANodeThatAnswersOthersMeanwhileIsNotAsked) {
  static_cast<void>(begun());
  for (int second = 0; second < 20; ++second) {
    run(1'000);
    reach.heard(node);
  }
  EXPECT_EQ(pings, 0);
}

TEST_F(NodeReachTest, ANodeThatAnswersSomethingElseThanThePingIsNotDead) {
  pong_ms.reset();
  static_cast<void>(begun());
  run(kReachPatienceMs + 1'000);
  EXPECT_EQ(pings, 1);
  reach.heard(node);
  run(kReachPingTimeoutMs);
  EXPECT_FALSE(reach.is_dead(node));
  EXPECT_EQ(ended_dead, 0);
}

TEST_F(NodeReachTest, ANodeThatRefusesThePingIsThere) {
  pong_reply = fail(Errc::refused, "FORBIDDEN_SN");
  static_cast<void>(begun());
  run(20'000);
  EXPECT_FALSE(reach.is_dead(node));
}

TEST_F(NodeReachTest, APingThatDidNotLeaveSaysNothing) {
  pong_ms.reset();
  silence = Errc::full;
  static_cast<void>(begun());
  run(20'000);
  EXPECT_FALSE(reach.is_dead(node));
  EXPECT_GE(pings, 2);
  silence = Errc::timeout;
  run(10'000);
  EXPECT_TRUE(reach.is_dead(node));
}

TEST_F(NodeReachTest, ASuspectIsAskedAtOnceAndAliveUntilItDoesNotAnswer) {
  reach.suspect(node);
  EXPECT_EQ(pings, 1);
  run(10'000);
  EXPECT_FALSE(reach.is_dead(node));
  EXPECT_EQ(pings, 1);

  pong_ms.reset();
  reach.suspect(node);
  reach.suspect(node);
  EXPECT_EQ(pings, 2);
  EXPECT_FALSE(reach.is_dead(node));
  run(kReachPingTimeoutMs);
  EXPECT_TRUE(reach.is_dead(node));
  reach.heard(node);
  EXPECT_FALSE(reach.is_dead(node)) << "whatever it said";
}

TEST_F(NodeReachTest, ANodeThatLeftTheNetworkIsForgotten) {
  pong_ms.reset();
  reach.suspect(node);
  run(10'000);
  EXPECT_TRUE(reach.is_dead(node));
  keep({});
  run(10'000);
  EXPECT_FALSE(reach.is_dead(node));
  const int pings_until_then = pings;
  run(60'000);
  EXPECT_EQ(pings, pings_until_then);
}

TEST_F(NodeReachTest, MayBeDestroyedWhileAPingIsOnItsWay) {
  {
    NodeReach brief{{membership, *this, [this] { return now_ms; }}};
    brief.suspect(node);
  }
  run(10'000);
  EXPECT_EQ(pings, 1);
}

}  // namespace
}  // namespace allium::control::test
