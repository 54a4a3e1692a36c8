// SPDX-License-Identifier: Apache-2.0

// Messages that do not end: what is kept of them, and whose connections are cut for it.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "control/service/omq/omq_endpoint.hpp"
#include "tests/unit/omq/holding_proxy.hpp"
#include "tests/unit/omq/raw_peer.hpp"
#include "tests/unit/omq/raw_zmtp_client.hpp"
#include "tests/unit/omq/test_node.hpp"

namespace allium::control {
namespace {

using test::Frames;
using test::HoldingProxy;
using test::RawPeer;
using test::run_until;
using test::TestNode;

constexpr std::size_t kMebibyte = 1024UL * 1024;

Frames long_message(const std::string& name) {
  Frames frames = {name, "1"};
  frames.resize(10, std::string(kMebibyte, 'x'));
  return frames;
}

class OmqInput : public testing::Test {
 protected:
  static OmqOptions options() {
    OmqOptions options;
    options.input_interval = std::chrono::milliseconds(5);
    return options;
  }

  /// A client of which the node gets `bytes`, and a part of a message with them.
  struct Client {
    Client(boost::asio::io_context& io, const TestNode& node, std::size_t bytes,
           const std::string& from = "127.0.0.1")
        : proxy(io, node.endpoint(), {.of_caller = bytes}, from) {
      peer.never_reconnect();
      peer.connect(proxy.endpoint(), node.key(), test::key_pair(9));
      peer.send(long_message("storage.echo"));
    }

    HoldingProxy proxy;
    RawPeer peer;
  };

  /// Nothing is cut by the time another one has been served for many looks.
  void expect_no_cut(TestNode& node) {
    const auto until = std::chrono::steady_clock::now() + options().input_interval * 20;
    run_until(io, [&] { return std::chrono::steady_clock::now() > until; });
    EXPECT_EQ(node.omq->counters().cut_unfinished, 0U);
  }

  boost::asio::io_context io;
};

TEST_F(OmqInput, BeyondTheBoundsOfAMessageIsNotKept) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 24 * kMebibyte;
  TestNode node(io, 1, bounded);
  node.add_echo("storage.echo");
  RawPeer client;
  client.never_reconnect();
  client.connect(node.endpoint(), node.key(), test::key_pair(9));
  Frames endless = {"storage.echo", "1"};
  endless.resize(64, std::string(kMebibyte, 'x'));
  client.send(endless);
  client.send({"storage.echo", "t", "still there"});

  EXPECT_EQ(client.receive(io).size(), 3U);
  EXPECT_EQ(node.omq->counters().oversized, 1U);
  EXPECT_EQ(node.omq->counters().received, 1U);
  EXPECT_EQ(node.omq->counters().cut_unfinished, 0U);
}

TEST_F(OmqInput, ThatEndsIsNotCountedAnyMore) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 4 * kMebibyte;
  TestNode node(io, 1, bounded);
  node.add_echo("storage.echo");
  RawPeer client;
  client.connect(node.endpoint(), node.key(), test::key_pair(9));
  for (int i = 0; i < 64; ++i) {
    client.send({"storage.echo", "t", std::string(kMebibyte / 4, 'x')});
  }
  for (int i = 0; i < 64; ++i) {
    ASSERT_EQ(client.receive(io).size(), 3U);
  }
  EXPECT_EQ(node.omq->counters().cut_unfinished, 0U);
}

TEST_F(OmqInput, OfTheAddressThatHasMostGivesWay) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 17 * kMebibyte / 2;
  TestNode node(io, 1, bounded);
  Client alone(io, node, 3 * kMebibyte, "127.0.0.2");
  expect_no_cut(node);
  Client first(io, node, 1 * kMebibyte, "127.0.0.3");
  expect_no_cut(node);
  Client second(io, node, 2 * kMebibyte, "127.0.0.3");
  expect_no_cut(node);
  Client last(io, node, 3 * kMebibyte, "127.0.0.3");

  ASSERT_TRUE(run_until(io, [&] { return first.proxy.is_over(); }));
  EXPECT_EQ(node.omq->counters().cut_unfinished, 1U);
  EXPECT_FALSE(alone.proxy.is_over() || second.proxy.is_over() || last.proxy.is_over());
}

TEST_F(OmqInput, OfASlowOneOutlastsThatOfManyAddressesWithMore) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 15 * kMebibyte;
  TestNode node(io, 1, bounded);
  Client slow(io, node, 1 * kMebibyte, "127.0.0.2");
  expect_no_cut(node);
  std::vector<std::unique_ptr<Client>> others;
  for (const char* from : {"127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7"}) {
    others.push_back(std::make_unique<Client>(io, node, 3 * kMebibyte, from));
  }

  ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().cut_unfinished > 0; }));
  EXPECT_FALSE(slow.proxy.is_over());
}

TEST_F(OmqInput, OfServiceNodesGivesWayLast) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 8 * kMebibyte;
  TestNode node(io, 1, bounded);
  node.nodes.insert(test::key_pair(9).key);
  Client member(io, node, 5 * kMebibyte, "127.0.0.2");
  expect_no_cut(node);
  HoldingProxy proxy(io, node.endpoint(), {.of_caller = 4 * kMebibyte}, "127.0.0.3");
  RawPeer client;
  client.never_reconnect();
  client.connect(proxy.endpoint(), node.key(), test::key_pair(10));
  client.send(long_message("storage.echo"));

  ASSERT_TRUE(run_until(io, [&] { return proxy.is_over(); }));
  EXPECT_EQ(node.omq->counters().cut_unfinished, 1U);
  EXPECT_FALSE(member.proxy.is_over());
}

TEST_F(OmqInput, OfWhomHasNotEndedAMessageForLongestGivesWay) {
  OmqOptions bounded = options();
  bounded.limits.inputs_bytes = 33 * kMebibyte / 2;
  TestNode node(io, 1, bounded);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<Client>(io, node, 3 * kMebibyte));
    expect_no_cut(node);
  }
  Client last(io, node, 3 * kMebibyte);

  ASSERT_TRUE(run_until(io, [&] { return clients.front()->proxy.is_over(); }));
  EXPECT_EQ(node.omq->counters().cut_unfinished, 1U);
  EXPECT_FALSE(last.proxy.is_over());
}

TEST_F(OmqInput, OfANodeThatWasAskedIsBoundedToo) {
  OmqOptions bounded = options();
  bounded.limits.input_bytes = 2 * kMebibyte;
  TestNode node(io, 1, bounded);
  RawPeer other;
  const test::KeyPair keys = test::key_pair(2);
  HoldingProxy proxy(io, other.listen(keys), {.of_called = 3 * kMebibyte});
  std::optional<Result<OmqParts>> answer;
  node.omq->request({keys.key, proxy.endpoint()}, "sn.ask", {}, test::kPatience,
                    [&](Result<OmqParts> parts) { answer = std::move(parts); });
  Frames asked;  // routing id, name, tag
  ASSERT_FALSE((asked = other.receive(io)).empty());
  Frames reply = long_message("REPLY");
  reply.insert(reply.begin(), asked.front());
  other.send(reply);

  ASSERT_TRUE(run_until(io, [&] { return answer.has_value(); }));
  ASSERT_FALSE(answer->has_value());
  EXPECT_EQ(answer->error().code, Errc::unavailable);
  EXPECT_EQ(node.omq->counters().cut_unfinished, 1U);
}

// libzmq's own listening end aborts the process at that (README.md, "Why the listening end is our own").
TEST_F(OmqInput, OfAClientThatEndsBehindAHeartbeatWhileNobodyReadsEndsNothing) {
  TestNode node(io);
  node.add_echo("storage.echo");
  for (std::uint64_t i = 0; i < 8; ++i) {
    test::RawZmtpClient client(io, node.endpoint(), node.key());
    client.write(client.message({"storage.echo", "first"}));
    ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().received > i; }));
    std::string bytes;
    for (int k = 0; k < 200; ++k) {
      bytes += client.message({"storage.echo", "tag"});
      bytes += k % 8 == 0 ? client.ping() : "";
    }
    client.write(bytes);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    client.reset();
    io.restart();
    io.run_for(std::chrono::milliseconds(20));
  }
  RawPeer other;
  other.connect(node.endpoint(), node.key(), test::key_pair(9));
  other.send({"storage.echo", "t", "still there"});
  EXPECT_EQ(other.receive(io).size(), 3U);
}

}  // namespace
}  // namespace allium::control
