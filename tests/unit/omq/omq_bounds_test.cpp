// SPDX-License-Identifier: Apache-2.0

// What an endpoint refuses because it is too much.

#include <gtest/gtest.h>

#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/omq/omq_message.hpp"
#include "tests/unit/omq/test_node.hpp"

namespace allium::control {
namespace {

using test::Frames;
using test::RawPeer;
using test::run_until;
using test::TestNode;

class OmqBounds : public testing::Test {
 protected:
  void connect(RawPeer& peer, const TestNode& node, std::uint8_t seed) {
    peer.connect(node.endpoint(), node.key(), test::key_pair(seed));
  }

  boost::asio::io_context io;
};

TEST_F(OmqBounds, TakesTenMebibytesAndNotOneByteMore) {
  TestNode node(io);
  std::vector<std::size_t> sizes;
  node.omq->add_command("storage.size", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          sizes.push_back(command.parts.at(0).size());
                          reply({});
                        });
  RawPeer client;
  connect(client, node, 9);
  const std::size_t room = kOmqMessageBytesMax - std::string("storage.size").size() - 1;
  client.send({"storage.size", "1", std::string(room, 'x')});
  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "1"}));
  client.send({"storage.size", "2", std::string(room + 1, 'x')});
  client.send({"storage.size", "3", "x"});
  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "3"}));

  EXPECT_EQ(sizes, (std::vector<std::size_t>{room, 1}));
  EXPECT_EQ(node.omq->counters().oversized, 1U);
}

TEST_F(OmqBounds, CutsAClientOffThatSendsAFrameFarTooLarge) {
  TestNode node(io);
  node.add_echo("storage.echo");
  RawPeer client;
  connect(client, node, 9);
  client.send({"storage.echo", "1", std::string(kOmqMessageBytesMax + 2048, 'x')});
  RawPeer other;
  connect(other, node, 10);
  other.send({"storage.echo", "2"});

  EXPECT_EQ(other.receive(io), (Frames{"REPLY", "2"}));
  client.send({"HI"});  // on a new connection, which libzmq makes by itself
  EXPECT_EQ(client.receive(io), Frames{"HELLO"});
  EXPECT_EQ(node.omq->counters().received, 1U);
}

TEST_F(OmqBounds, DropsMessagesOfTooManyParts) {
  TestNode node(io);
  node.add_echo("storage.echo");
  RawPeer client;
  connect(client, node, 9);
  Frames frames = {"storage.echo", "1"};
  frames.resize(2 + kOmqPartsMax, "p");
  client.send(frames);
  EXPECT_EQ(client.receive(io).size(), 2 + kOmqPartsMax);
  frames.emplace_back("p");
  client.send(frames);
  client.send({"storage.echo", "2"});

  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "2"}));
}

TEST_F(OmqBounds, ServesOnlySoManyRequestsOfAConnectionAtOnce) {
  OmqOptions options;
  options.limits.served = 2;
  TestNode node(io, 1, options);
  std::vector<OmqReply> waiting;
  node.omq->add_command(
      "storage.wait", OmqAccess::open, OmqForm::request,
      [&](const OmqCommand&, const OmqReply& reply) { waiting.push_back(reply); });
  RawPeer client;
  connect(client, node, 9);
  for (const char* tag : {"1", "2", "3"}) {
    client.send({"storage.wait", tag});
  }
  ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().refused_busy == 1; }));
  EXPECT_EQ(waiting.size(), 2U);

  waiting.pop_back();  // never answered: its place is free again all the same
  client.send({"storage.wait", "4"});
  EXPECT_TRUE(run_until(io, [&] { return waiting.size() == 2; }));
}

TEST_F(OmqBounds, RefusesMoreClientsButNoServiceNode) {
  OmqOptions options;
  options.limits.clients = 1;
  TestNode node(io, 1, options);
  node.nodes.insert(test::key_pair(11).key);
  RawPeer first;
  connect(first, node, 9);
  first.send({"HI"});
  ASSERT_EQ(first.receive(io), Frames{"HELLO"});

  RawPeer second;
  connect(second, node, 10);
  second.send({"HI"});
  ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().refused_clients > 0; }));
  EXPECT_FALSE(second.try_receive().has_value());
  RawPeer service_node;
  connect(service_node, node, 11);
  service_node.send({"HI"});
  EXPECT_EQ(service_node.receive(io), Frames{"HELLO"});
}

// The kernel's buffers take some megabytes on loopback; what is beyond them must be dropped, not
// kept.
TEST_F(OmqBounds, KeepsLittleForAClientThatDoesNotRead) {
  TestNode node(io);
  std::optional<OmqConnection> connection;
  node.omq->add_command("monitor.messages", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          connection = command.connection;
                          reply({});
                        });
  RawPeer lazy;
  lazy.set_receive_bound(1);
  connect(lazy, node, 9);
  lazy.send({"monitor.messages", "t"});
  ASSERT_EQ(lazy.receive(io), (Frames{"REPLY", "t"}));

  const std::string megabyte(1 << 20, 'x');
  std::size_t sent = 0;
  std::size_t refused = 0;
  run_until(io, [&] {
    (node.omq->send(*connection, "notify.message", {megabyte}) ? sent : refused) += 1;
    return refused == 50;
  });
  EXPECT_EQ(refused, 50U);
  EXPECT_EQ(node.omq->counters().unsent_full, 50U);
  EXPECT_LT(sent, 64U);

  RawPeer other;  // does not suffer
  connect(other, node, 10);
  other.send({"HI"});
  EXPECT_EQ(other.receive(io), Frames{"HELLO"});

  for (std::size_t i = 0; i < sent; ++i) {
    ASSERT_EQ(lazy.receive(io), (Frames{"notify.message", megabyte}));
  }
  EXPECT_TRUE(node.omq->send(*connection, "notify.message", {"again"}));
  EXPECT_EQ(lazy.receive(io), (Frames{"notify.message", "again"}));
}

}  // namespace
}  // namespace allium::control
