// SPDX-License-Identifier: Apache-2.0
#include <filesystem>

#include <gtest/gtest.h>

#include "control/service/omq/omq_endpoint.hpp"
#include "tests/unit/omq/test_node.hpp"

namespace allium::control {
namespace {

using std::chrono::milliseconds;
using test::Frames;
using test::KeyPair;
using test::RawPeer;
using test::run_until;
using test::TestNode;

class OmqClient : public testing::Test {
 protected:
  Result<OmqParts> ask(TestNode& from, const OmqPeer& to, const std::string& command,
                       OmqParts parts, milliseconds timeout = milliseconds(5000)) {
    std::optional<Result<OmqParts>> answer;
    from.omq->request(to, command, std::move(parts), timeout,
                      [&](Result<OmqParts> result) { answer = std::move(result); });
    EXPECT_FALSE(answer.has_value());
    EXPECT_TRUE(run_until(io, [&] { return answer.has_value(); }));
    return answer.value_or(fail(Errc::internal, "never called"));
  }

  boost::asio::io_context io;
  TestNode node{io, 1};
};

TEST_F(OmqClient, AsksAnotherNodeAsAServiceNode) {
  TestNode other(io, 2);
  other.nodes.insert(node.key());
  other.add_echo("sn.echo", OmqAccess::service_node);

  EXPECT_EQ(ask(node, other.peer(), "sn.echo", {"a", "b"}), (OmqParts{"a", "b"}));
  EXPECT_EQ(ask(node, other.peer(), "sn.echo", {}), OmqParts{});
}

TEST_F(OmqClient, LearnsThatThePeerRefuses) {
  TestNode other(io, 2);
  other.add_echo("sn.echo", OmqAccess::service_node);

  EXPECT_EQ(ask(node, other.peer(), "sn.echo", {}).error().code, Errc::refused);
  EXPECT_EQ(ask(node, other.peer(), "sn.none", {}).error().code, Errc::refused);
}

TEST_F(OmqClient, TimesOutOnTimeWhenTheServerKeyIsNotThePeers) {
  TestNode other(io, 2);
  other.add_echo("sn.echo");
  const OmqPeer wrong{test::key_pair(3).key, other.endpoint()};

  const auto begin = std::chrono::steady_clock::now();
  const auto answer = ask(node, wrong, "sn.echo", {}, milliseconds(150));
  const auto took = std::chrono::steady_clock::now() - begin;

  EXPECT_EQ(answer.error().code, Errc::timeout);
  EXPECT_GE(took, milliseconds(150));
  EXPECT_LT(took, milliseconds(1000));
  EXPECT_EQ(other.omq->counters().received, 0U);
  EXPECT_EQ(node.omq->counters().timeouts, 1U);
}

TEST_F(OmqClient, KeepsEachRequestsOwnTime) {
  RawPeer silent;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer peer{keys.key, silent.listen(keys)};
  std::vector<int> order;
  for (const int timeout_ms : {120, 40, 80}) {
    node.omq->request(peer, "sn.ping", {}, milliseconds(timeout_ms),
                      [&order, timeout_ms](const Result<OmqParts>& answer) {
                        EXPECT_EQ(answer.error().code, Errc::timeout);
                        order.push_back(timeout_ms);
                      });
  }

  EXPECT_TRUE(run_until(io, [&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<int>{40, 80, 120}));
}

TEST_F(OmqClient, ServesThePeersRequestsOnItsOwnConnection) {
  RawPeer peer;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer target{keys.key, peer.listen(keys)};
  node.add_echo("sn.storage_cc", OmqAccess::service_node);
  std::optional<Result<OmqParts>> answer;
  node.omq->request(target, "sn.ping", {}, milliseconds(5000),
                    [&](Result<OmqParts> result) { answer = std::move(result); });

  const Frames ping = peer.receive(io);
  ASSERT_EQ(ping.size(), 3U);
  EXPECT_EQ(ping[1], "sn.ping");
  EXPECT_EQ(ping[2].size(), 16U);

  // Down the same connection, before the answer; first as a stranger, then as a service node.
  peer.send({ping[0], "sn.storage_cc", "tag-1", "store", "de"});
  EXPECT_EQ(peer.receive(io), (Frames{ping[0], "FORBIDDEN_SN", "REPLY", "tag-1"}));
  node.nodes.insert(keys.key);
  peer.send({ping[0], "sn.storage_cc", "tag-2", "store", "de"});
  EXPECT_EQ(peer.receive(io), (Frames{ping[0], "REPLY", "tag-2", "store", "de"}));

  EXPECT_FALSE(answer.has_value());
  peer.send({ping[0], "REPLY", ping[2], "pong"});
  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  EXPECT_EQ(*answer, OmqParts{"pong"});
}

TEST_F(OmqClient, HearsAPeerWhoeverTakesTheRoutingIdThatNodesHave) {
  TestNode other(io, 2);
  std::optional<OmqReply> held;
  other.omq->add_command(
      "sn.wait", OmqAccess::open, OmqForm::request,
      [&](const OmqCommand& /*command*/, const OmqReply& reply) { held = reply; });
  std::optional<Result<OmqParts>> answer;
  node.omq->request(other.peer(), "sn.wait", {}, milliseconds(2000),
                    [&](Result<OmqParts> result) { answer = std::move(result); });
  ASSERT_TRUE(run_until(io, [&] { return held.has_value(); }));

  RawPeer thief;
  thief.connect(other.endpoint(), other.key(), test::key_pair(9),
                test::node_routing_id(node.key()));
  thief.send({"HI"});
  ASSERT_EQ(thief.receive(io), Frames{"HELLO"});

  (*held)({"for the node"});
  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  EXPECT_EQ(*answer, OmqParts{"for the node"});
}

// So that a new connection still takes the place of one that is half open.
TEST_F(OmqClient, HasOneRoutingIdForEachPeer) {
  const auto routing_id_at = [&](std::uint8_t seed) {
    RawPeer peer;
    const KeyPair keys = test::key_pair(seed);
    node.omq->request({keys.key, peer.listen(keys)}, "sn.ping", {}, milliseconds(50),
                      [](const Result<OmqParts>&) {});
    const Frames ping = peer.receive(io);
    run_until(
        io, [] { return false; }, milliseconds(100));  // until the connection is given up
    return ping.empty() ? std::string() : ping.front();
  };

  const std::string first = routing_id_at(2);
  EXPECT_EQ(first.size(), 33U);
  EXPECT_EQ(routing_id_at(2), first);
  EXPECT_NE(routing_id_at(3), first);
}

TEST_F(OmqClient, TakesAnAnswerOnlyFromWhomItAsked) {
  RawPeer peer;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer target{keys.key, peer.listen(keys)};
  std::optional<Result<OmqParts>> answer;
  node.omq->request(target, "sn.ping", {}, milliseconds(5000),
                    [&](Result<OmqParts> result) { answer = std::move(result); });
  const Frames ping = peer.receive(io);
  ASSERT_EQ(ping.size(), 3U);

  RawPeer stranger;  // who learned the tag
  stranger.connect(node.endpoint(), node.key(), test::key_pair(9));
  stranger.send({"REPLY", ping[2], "forged"});
  stranger.send({"HI"});
  ASSERT_EQ(stranger.receive(io), Frames{"HELLO"});
  EXPECT_FALSE(answer.has_value());
  EXPECT_EQ(node.omq->counters().unknown_tags, 1U);

  peer.send({ping[0], "REPLY", ping[2], "pong"});
  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  EXPECT_EQ(*answer, OmqParts{"pong"});
}

TEST_F(OmqClient, IgnoresAReplyThatComesTooLate) {
  RawPeer peer;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer target{keys.key, peer.listen(keys)};
  int calls = 0;
  // The second request keeps the connection open after the first has timed out.
  node.omq->request(target, "sn.a", {}, milliseconds(50), [&](const auto&) { ++calls; });
  node.omq->request(target, "sn.b", {}, milliseconds(5000), [&](const auto&) { ++calls; });
  const Frames first = peer.receive(io);
  const Frames second = peer.receive(io);
  ASSERT_EQ(first.size(), 3U);
  ASSERT_EQ(second.size(), 3U);
  ASSERT_TRUE(run_until(io, [&] { return calls == 1; }));

  peer.send({first[0], "REPLY", first[2], "late"});
  peer.send({second[0], "REPLY", second[2], "in time"});
  ASSERT_TRUE(run_until(io, [&] { return calls == 2; }));
  EXPECT_EQ(node.omq->counters().unknown_tags, 1U);
}

TEST_F(OmqClient, FailsWhatIsOpenWhenThePeerSaysBye) {
  RawPeer peer;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer target{keys.key, peer.listen(keys)};
  std::optional<Result<OmqParts>> answer;
  node.omq->request(target, "sn.ping", {}, milliseconds(5000),
                    [&](Result<OmqParts> result) { answer = std::move(result); });
  const Frames ping = peer.receive(io);
  ASSERT_EQ(ping.size(), 3U);
  peer.send({ping[0], "BYE"});

  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  EXPECT_EQ(answer->error().code, Errc::unavailable);
}

TEST_F(OmqClient, AsksOverANewConnectionAfterTheFirstWasIdleTooLong) {
  TestNode other(io, 2);
  OmqOptions options;
  options.peer_idle = milliseconds(40);
  TestNode hasty(io, 3, options);
  std::set<OmqConnection> seen;
  other.omq->add_command("sn.ping", OmqAccess::open, OmqForm::request,
                         [&](const OmqCommand& command, const OmqReply& reply) {
                           seen.insert(command.connection);
                           reply({"pong"});
                         });
  ASSERT_EQ(ask(hasty, other.peer(), "sn.ping", {}), OmqParts{"pong"});
  ASSERT_EQ(ask(hasty, other.peer(), "sn.ping", {}), OmqParts{"pong"});
  EXPECT_EQ(seen.size(), 1U);

  // Time itself is what is waited for: a message would be traffic.
  const auto idle_until = std::chrono::steady_clock::now() + 4 * options.peer_idle;
  run_until(io, [&] { return std::chrono::steady_clock::now() > idle_until; });
  EXPECT_FALSE(other.omq->send(*seen.begin(), "notify.nothing", {}));
  ASSERT_EQ(ask(hasty, other.peer(), "sn.ping", {}), OmqParts{"pong"});
  EXPECT_EQ(seen.size(), 2U);
}

TEST_F(OmqClient, ClosesAConnectionByWhichNothingCame) {
  const auto descriptor_count = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  RawPeer silent;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer peer{keys.key, silent.listen(keys)};
  TestNode other(io, 5);
  other.add_echo("sn.ping");
  ASSERT_TRUE(ask(node, other.peer(), "sn.ping", {}).has_value());  // libzmq has all it needs now
  const auto before = descriptor_count();

  EXPECT_EQ(ask(node, peer, "sn.ping", {}, milliseconds(100)).error().code, Errc::timeout);
  EXPECT_TRUE(run_until(io, [&] { return descriptor_count() == before; }));
}

TEST_F(OmqClient, BoundsRequestsWithoutAnswerAndConnections) {
  RawPeer silent;
  const KeyPair keys = test::key_pair(2);
  const OmqPeer peer{keys.key, silent.listen(keys)};
  OmqOptions options;
  options.limits.requests = 2;
  options.limits.peers = 1;
  TestNode small(io, 3, options);
  const auto ignore = [](const Result<OmqParts>&) {};
  small.omq->request(peer, "sn.ping", {}, milliseconds(5000), ignore);

  const OmqPeer elsewhere{test::key_pair(4).key, peer.endpoint};
  EXPECT_EQ(ask(small, elsewhere, "sn.ping", {}).error().code, Errc::full);
  small.omq->request(peer, "sn.ping", {}, milliseconds(5000), ignore);
  EXPECT_EQ(ask(small, peer, "sn.ping", {}).error().code, Errc::full);
  EXPECT_EQ(ask(node, peer, "sn.ping", OmqParts(17)).error().code, Errc::out_of_range);
}

TEST_F(OmqClient, SendsWhatIsOfLowPriorityAfterTheRestAndLessOfIt) {
  RawPeer slow;
  slow.set_receive_bound(1);
  const KeyPair keys = test::key_pair(2);
  const OmqPeer peer{keys.key, slow.listen(keys)};
  constexpr std::size_t kLow = 60;
  std::size_t refused = 0;
  const OmqAnswered count = [&refused](const Result<OmqParts>& answer) {
    refused += !answer && answer.error().code == Errc::full ? 1U : 0U;
  };
  for (std::size_t i = 0; i < kLow; ++i) {
    node.omq->request(peer, "sn.low", {std::string(1 << 20, 'x')}, test::kPatience, count,
                      OmqPriority::low);
  }
  ASSERT_TRUE(run_until(io, [&] { return refused > 0; }));
  const std::size_t refused_low = refused;
  node.omq->request(peer, "sn.now", {}, test::kPatience, count);

  std::size_t before = 0;
  for (Frames asked = slow.receive(io); asked.at(1) == "sn.low"; asked = slow.receive(io)) {
    ++before;
  }
  EXPECT_LT(before, kLow - refused_low);
  EXPECT_EQ(refused, refused_low);
}

TEST_F(OmqClient, MakesRoomByClosingTheConnectionThatIsIdleForLongest) {
  OmqOptions options;
  options.limits.peers = 1;
  TestNode small(io, 3, options);
  TestNode first(io, 4);
  TestNode second(io, 5);
  first.add_echo("sn.echo");
  second.add_echo("sn.echo");

  EXPECT_EQ(ask(small, first.peer(), "sn.echo", {"1"}), OmqParts{"1"});
  EXPECT_EQ(ask(small, second.peer(), "sn.echo", {"2"}), OmqParts{"2"});
  EXPECT_EQ(ask(small, first.peer(), "sn.echo", {"3"}), OmqParts{"3"});
}

TEST_F(OmqClient, DropsItsCallbacksWhenItIsDestroyed) {
  RawPeer silent;
  const KeyPair keys = test::key_pair(2);
  bool is_called = false;
  auto token = std::make_shared<int>();
  node.omq->request({keys.key, silent.listen(keys)}, "sn.ping", {}, milliseconds(1),
                    [&is_called, token](const Result<OmqParts>&) { is_called = true; });
  node.omq.reset();

  EXPECT_TRUE(run_until(io, [&] { return token.use_count() == 1; }));
  EXPECT_FALSE(is_called);
}

}  // namespace
}  // namespace allium::control
