// SPDX-License-Identifier: Apache-2.0

// What an endpoint refuses because it is too much.

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/omq/omq_message.hpp"
#include "tests/unit/omq/holding_proxy.hpp"
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
  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "3", "503", "too many requests at once"}));

  waiting.pop_back();  // never answered: its place is free again all the same
  client.send({"storage.wait", "4"});
  EXPECT_TRUE(run_until(io, [&] { return waiting.size() == 2; }));
}

TEST_F(OmqBounds, ServesThousandsOfRequestsOfAServiceNodeAtOnce) {
  TestNode node(io);
  const test::KeyPair peer_keys = test::key_pair(11);
  node.nodes.insert(peer_keys.key);
  std::vector<OmqReply> waiting;
  node.omq->add_command(
      "sn.wait", OmqAccess::service_node, OmqForm::request,
      [&](const OmqCommand&, const OmqReply& reply) { waiting.push_back(reply); });
  RawPeer peer;
  peer.connect(node.endpoint(), node.key(), peer_keys, test::node_routing_id(peer_keys.key));
  constexpr std::size_t kCount = 3000;
  for (std::size_t i = 0; i < kCount; ++i) {
    peer.send({"sn.wait", "t" + std::to_string(i)});
  }
  ASSERT_TRUE(run_until(io, [&] { return waiting.size() == kCount; }));
  for (const OmqReply& reply : waiting) {
    reply({"done"});
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(peer.receive(io), (Frames{"REPLY", "t" + std::to_string(i), "done"}));
  }
}

TEST_F(OmqBounds, BoundsTheBytesOfRequestsOfAServiceNode) {
  OmqOptions options;
  options.limits.node_served_bytes = 1000;
  TestNode node(io, 1, options);
  const test::KeyPair peer_keys = test::key_pair(11);
  node.nodes.insert(peer_keys.key);
  std::vector<OmqReply> waiting;
  node.omq->add_command(
      "sn.wait", OmqAccess::service_node, OmqForm::request,
      [&](const OmqCommand&, const OmqReply& reply) { waiting.push_back(reply); });
  RawPeer peer;
  connect(peer, node, 11);
  peer.send({"sn.wait", "1", std::string(2000, 'x')});
  peer.send({"sn.wait", "2", std::string(2000, 'x')});
  EXPECT_EQ(peer.receive(io), (Frames{"REPLY", "2", "503", "too many requests at once"}));
  EXPECT_EQ(waiting.size(), 1U);

  waiting.clear();
  peer.send({"sn.wait", "3", std::string(2000, 'x')});
  EXPECT_TRUE(run_until(io, [&] { return waiting.size() == 1; }));
}

TEST_F(OmqBounds, AnswersThatAnAnswerIsTooLargeInsteadOfLosingIt) {
  TestNode node(io);
  node.omq->add_command("storage.size", OmqAccess::open, OmqForm::request,
                        [](const OmqCommand& command, const OmqReply& reply) {
                          reply({std::string(std::stoul(command.parts.at(0)), 'x')});
                        });
  RawPeer client;
  connect(client, node, 9);
  const std::size_t room = kOmqMessageBytesMax - std::string("REPLYt").size();
  client.send({"storage.size", "t", std::to_string(room)});
  EXPECT_EQ(client.receive(io).at(2).size(), room);
  client.send({"storage.size", "t", std::to_string(room + 1)});
  EXPECT_EQ(client.receive(io),
            (Frames{"REPLY", "t", "413", "the answer is larger than a message may be"}));
  EXPECT_EQ(node.omq->counters().answers_oversized, 1U);
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

// It tries again after the time that libzmq has for handshakes.
TEST_F(OmqBounds, LetsInLaterWhomItTurnedAway) {
  OmqOptions options;
  options.limits.clients = 1;
  TestNode node(io, 1, options);
  auto first = std::make_unique<RawPeer>();
  connect(*first, node, 9);
  first->send({"HI"});
  ASSERT_EQ(first->receive(io), Frames{"HELLO"});
  RawPeer second;
  connect(second, node, 10);
  second.send({"HI"});
  ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().refused_clients > 0; }));
  first.reset();
  EXPECT_EQ(second.receive(io), Frames{"HELLO"});
}

TEST_F(OmqBounds, GivesAPlaceOfTheAddressThatHasMostToAnotherOne) {
  OmqOptions options;
  options.limits.clients = 3;
  TestNode node(io, 1, options);
  std::array<RawPeer, 3> crowd;
  const auto says = [this](RawPeer& peer) {
    peer.send({"HI"});
    return peer.receive(io) == Frames{"HELLO"};
  };
  for (RawPeer& peer : crowd) {
    peer.never_reconnect();
    connect(peer, node, 9);
    ASSERT_TRUE(says(peer));
  }
  ASSERT_TRUE(says(crowd[0]));
  test::HoldingProxy proxy(io, node.endpoint(), {}, "127.0.0.2");
  RawPeer other;
  other.connect(proxy.endpoint(), node.key(), test::key_pair(10));
  EXPECT_TRUE(says(other));

  EXPECT_EQ(node.omq->counters().cut_idle, 1U);
  EXPECT_EQ(node.omq->counters().refused_clients, 0U);
  crowd[1].send({"HI"});
  EXPECT_TRUE(says(crowd[0]));
  EXPECT_TRUE(says(crowd[2]));
  EXPECT_TRUE(says(other));
  EXPECT_FALSE(crowd[1].try_receive().has_value());
}

/// TCP connections that say nothing.
class SilentCrowd {
 public:
  void come(boost::asio::io_context& io, const test::tcp::endpoint& to, const std::string& from,
            std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      test::tcp::socket socket(io, test::tcp::v4());
      socket.bind({boost::asio::ip::make_address_v4(from), 0});
      socket.connect(to);
      socket.non_blocking(true);
      sockets_.push_back(std::move(socket));
    }
  }

  /// Which of them the other end has closed, in the order in which they came.
  [[nodiscard]] std::vector<std::size_t> closed() {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      std::array<char, 256> greeting{};
      boost::system::error_code error;
      do {
        sockets_[i].read_some(boost::asio::buffer(greeting), error);
      } while (!error);
      if (error != boost::asio::error::would_block) {
        found.push_back(i);
      }
    }
    return found;
  }

 private:
  std::vector<test::tcp::socket> sockets_;
};

TEST_F(OmqBounds, DoesNotCountAsClientsWhoSaysNothing) {
  OmqOptions options;
  options.limits.clients = 1;
  TestNode node(io, 1, options);
  SilentCrowd crowd;
  crowd.come(io, node.endpoint(), "127.0.0.1", 8);
  RawPeer client;
  connect(client, node, 9);
  client.send({"HI"});

  EXPECT_EQ(client.receive(io), Frames{"HELLO"});
  EXPECT_EQ(node.omq->counters().refused_clients, 0U);
}

TEST_F(OmqBounds, CutsTheFirstOfTooManyThatHaveHadTimeToSaySomething) {
  OmqOptions options;
  options.limits.silent = 4;
  options.limits.silent_time = std::chrono::milliseconds(0);
  TestNode node(io, 1, options);
  RawPeer client;
  connect(client, node, 9);
  client.send({"HI"});
  ASSERT_EQ(client.receive(io), Frames{"HELLO"});
  SilentCrowd crowd;
  crowd.come(io, node.endpoint(), "127.0.0.1", 7);

  ASSERT_TRUE(run_until(io, [&] { return crowd.closed().size() >= 3; }));
  EXPECT_EQ(crowd.closed(), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(node.omq->counters().cut_silent, 3U);
  client.send({"HI"});
  EXPECT_EQ(client.receive(io), Frames{"HELLO"});
}

TEST_F(OmqBounds, LeavesThoseWhoHaveJustComeTheirTime) {
  OmqOptions options;
  options.limits.silent = 4;
  TestNode node(io, 1, options);
  SilentCrowd crowd;
  crowd.come(io, node.endpoint(), "127.0.0.1", 7);

  ASSERT_TRUE(run_until(io, [&] { return crowd.closed().size() >= 3; }));
  EXPECT_EQ(crowd.closed(), (std::vector<std::size_t>{4, 5, 6}));
  EXPECT_EQ(node.omq->counters().cut_silent, 3U);
}

TEST_F(OmqBounds, CutsTheSilentOfTheAddressThatHasMost) {
  OmqOptions options;
  options.limits.silent = 4;
  TestNode node(io, 1, options);
  SilentCrowd crowd;
  crowd.come(io, node.endpoint(), "127.0.0.2", 1);
  crowd.come(io, node.endpoint(), "127.0.0.3", 3);
  crowd.come(io, node.endpoint(), "127.0.0.4", 1);

  ASSERT_TRUE(run_until(io, [&] { return !crowd.closed().empty(); }));
  EXPECT_EQ(crowd.closed(), (std::vector<std::size_t>{3})) << "the last of its block";
}

TEST_F(OmqBounds, CutsTheFirstConnectionOfAServiceNodeThatHasTooMany) {
  OmqOptions options;
  options.limits.connections_per_node = 2;
  TestNode node(io, 1, options);
  node.nodes.insert(test::key_pair(11).key);
  node.nodes.insert(test::key_pair(12).key);
  std::array<RawPeer, 4> peers;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    peers[i].never_reconnect();
    connect(peers[i], node, i == 1 ? 12 : 11);
    peers[i].send({"HI"});
    ASSERT_EQ(peers[i].receive(io), Frames{"HELLO"});
  }
  ASSERT_EQ(node.omq->counters().cut_node, 1U);
  for (RawPeer& peer : peers) {
    peer.send({"HI"});
  }
  for (const std::size_t i : {1U, 2U, 3U}) {
    EXPECT_EQ(peers[i].receive(io), Frames{"HELLO"});
  }
  EXPECT_FALSE(peers[0].try_receive().has_value());
}

TEST_F(OmqBounds, CutsTheSilentOfTheAddressThatHasTooMany) {
  OmqOptions options;
  options.limits.silent_per_address = 2;
  TestNode node(io, 1, options);
  SilentCrowd crowd;
  crowd.come(io, node.endpoint(), "127.0.0.2", 1);
  crowd.come(io, node.endpoint(), "127.0.0.3", 3);

  ASSERT_TRUE(run_until(io, [&] { return !crowd.closed().empty(); }));
  EXPECT_EQ(crowd.closed(), (std::vector<std::size_t>{3}));
}

TEST_F(OmqBounds, RefusesMoreClientsOfAnAddressButNoServiceNode) {
  OmqOptions options;
  options.limits.clients_per_address = 1;
  TestNode node(io, 1, options);
  node.nodes.insert(test::key_pair(11).key);
  RawPeer first;
  connect(first, node, 9);
  first.send({"HI"});
  ASSERT_EQ(first.receive(io), Frames{"HELLO"});

  RawPeer second;
  second.never_reconnect();
  connect(second, node, 10);
  second.send({"HI"});
  EXPECT_TRUE(run_until(io, [&] { return node.omq->counters().refused_address_full == 1; }));
  EXPECT_FALSE(second.try_receive().has_value());
  RawPeer service_node;
  connect(service_node, node, 11);
  service_node.send({"HI"});
  EXPECT_EQ(service_node.receive(io), Frames{"HELLO"});
}

// The kernel's buffers take some megabytes on loopback; what is beyond them must be dropped, not
// kept.
TEST_F(OmqBounds, KeepsLittleForAClientThatDoesNotRead) {
  OmqOptions options;
  options.limits.client_bytes_max = 1 << 20;
  TestNode node(io, 1, options);
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

/// A client that asks for many answers at once and then reads them.
class OmqAnswers : public OmqBounds {
 protected:
  /// How many of `count` answers of `bytes` each come to a client that reads as fast as it can.
  std::size_t answers_of(TestNode& node, std::size_t count, std::size_t bytes,
                         std::chrono::milliseconds patience = test::kPatience) {
    RawPeer client;
    connect(client, node, 9);
    for (std::size_t i = 0; i < count; ++i) {
      client.send({"storage.answer", "t" + std::to_string(i), std::to_string(bytes)});
    }
    std::size_t answers = 0;
    const std::uint64_t unsent = node.omq->counters().unsent_full;
    run_until(
        io,
        [&] {
          while (client.try_receive()) {
            ++answers;
          }
          return answers + node.omq->counters().unsent_full >= count + unsent;
        },
        patience);
    return answers;
  }

  /// A client that reads gets all it asked for, in the end: the kernel may still be taking some of what lazy ones asked for, so that
  /// they look like readers for a moment, and this one like one who does not read. Then its answers are gone with its connection, and
  /// it asks again.
  bool is_served(TestNode& node) {
    std::size_t answers = 0;
    for (int round = 0; round < 10 && answers < 10; ++round) {
      answers = answers_of(node, 10, 1'500'000, test::kPatience / 10);
    }
    return answers == 10;
  }

  static void add_answer(TestNode& node) {
    node.omq->add_command("storage.answer", OmqAccess::open, OmqForm::request,
                          [](const OmqCommand& command, const OmqReply& reply) {
                            reply({std::string(std::stoul(command.parts.at(0)), 'x')});
                          });
  }

  /// Clients that ask for large answers and never read them, until as much as the pool has waits for them.
  void add_lazy(TestNode& node, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      lazy.push_back(std::make_unique<RawPeer>());
      lazy.back()->set_receive_bound(1);
      lazy.back()->never_reconnect();
      connect(*lazy.back(), node, static_cast<std::uint8_t>(20 + i));
      const OmqCounters before = node.omq->counters();
      for (int asked = 0; asked < 20; ++asked) {
        lazy.back()->send({"storage.answer", "t", "1000000"});
      }
      ASSERT_TRUE(run_until(io, [&] {
        const OmqCounters& now =
            node.omq->counters();  // whoever is cut may come again and ask more
        return now.received >= before.received + 20 || now.cut_slow > before.cut_slow;
      }));
    }
  }

  std::vector<std::unique_ptr<RawPeer>> lazy;
};

TEST_F(OmqAnswers, ReachAClientThatReadsHoweverManyItAskedForAtOnce) {
  TestNode node(io);
  add_answer(node);
  EXPECT_EQ(answers_of(node, 7, 1'500'000), 7U);
  EXPECT_EQ(answers_of(node, 100, 93'000), 100U);
  EXPECT_EQ(answers_of(node, 200, 1000), 200U);
  EXPECT_EQ(node.omq->counters().unsent_full, 0U);
}

TEST_F(OmqAnswers, OfThoseWhoDoNotReadGiveWayToThoseWhoDo) {
  OmqOptions options;
  options.limits.pool_bytes = 24'000'000;
  TestNode node(io, 1, options);
  add_answer(node);
  add_lazy(node, 4);
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_GT(node.omq->counters().cut_slow, 0U);

  EXPECT_TRUE(is_served(node));
}

TEST_F(OmqAnswers, UpToTheirOwnShareReachClientsThatOwnNothingOfThePool) {
  OmqOptions options;
  options.limits.pool_bytes = 0;
  TestNode node(io, 1, options);
  add_answer(node);
  EXPECT_EQ(answers_of(node, 40, 1000), 40U);
}

TEST_F(OmqAnswers, ThatWereNeverReadAreForgottenWithTheConnection) {
  OmqOptions options;
  options.limits.pool_bytes = 24'000'000;
  TestNode node(io, 1, options);
  add_answer(node);
  add_lazy(node, 1);
  ASSERT_FALSE(HasFatalFailure());
  lazy.clear();
  add_lazy(node, 2);
  ASSERT_FALSE(HasFatalFailure());
  lazy.clear();
  EXPECT_TRUE(is_served(node));
}

}  // namespace
}  // namespace allium::control
