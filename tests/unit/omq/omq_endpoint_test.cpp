// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_endpoint.hpp"

#include <filesystem>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "tests/unit/omq/raw_zmtp_client.hpp"
#include "tests/unit/omq/test_node.hpp"

namespace allium::control {
namespace {

using test::Frames;
using test::KeyPair;
using test::RawPeer;
using test::run_until;
using test::TestNode;

class OmqServer : public testing::Test {
 protected:
  void connect(RawPeer& peer, const KeyPair& keys, const std::string& routing_id = "") {
    peer.connect(node.endpoint(), node.key(), keys, routing_id);
  }

  Frames ask(RawPeer& peer, const Frames& frames) {
    peer.send(frames);
    return peer.receive(io);
  }

  boost::asio::io_context io;
  TestNode node{io};
  KeyPair client_keys = test::key_pair(9);
  RawPeer client;
};

TEST_F(OmqServer, AnswersAPlainClientThatNeverSaysHi) {
  node.add_echo("storage.echo");
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"storage.echo", "tag", "one", ""}), (Frames{"REPLY", "tag", "one", ""}));
  EXPECT_EQ(ask(client, {"storage.echo", "tag"}), (Frames{"REPLY", "tag"}));
  EXPECT_EQ(node.omq->counters().answered, 2U);
}

TEST_F(OmqServer, SaysHello) {
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"HI"}), (Frames{"HELLO"}));
}

TEST_F(OmqServer, TellsTheHandlerWhoAsksByTheKeyOfCurve) {
  X25519Key seen{};
  bool is_loopback = false;
  node.omq->add_command("storage.who", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          seen = command.peer;
                          is_loopback = command.address.is_loopback();
                          reply({});
                        });
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"storage.who", "t"}), (Frames{"REPLY", "t"}));
  EXPECT_EQ(seen, client_keys.key);
  EXPECT_TRUE(is_loopback);
}

TEST_F(OmqServer, RefusesCommandsItDoesNotKnow) {
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"storage.nothing", "t"}), (Frames{"UNKNOWNCOMMAND", "storage.nothing"}));
  EXPECT_EQ(node.omq->counters().refused_unknown, 1U);
}

TEST_F(OmqServer, RefusesARequestWithoutTag) {
  node.add_echo("storage.echo");
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"storage.echo"}), (Frames{"NO_REPLY_TAG", "storage.echo"}));
  EXPECT_EQ(node.omq->counters().refused_no_tag, 1U);
}

TEST_F(OmqServer, TakesAPushWithoutTag) {
  Frames pushed;
  node.omq->add_command("notify.block", OmqAccess::open, OmqForm::push,
                        [&](OmqCommand command, const OmqReply& reply) {
                          pushed = command.parts;
                          reply({"nobody hears it"});
                        });
  connect(client, client_keys);
  client.send({"notify.block", "17", "hash"});

  EXPECT_EQ(ask(client, {"HI"}), (Frames{"HELLO"}));
  EXPECT_EQ(pushed, (Frames{"17", "hash"}));
}

TEST_F(OmqServer, AsksTheListOnEveryCommandOfServiceNodes) {
  node.add_echo("sn.echo", OmqAccess::service_node);
  connect(client, client_keys);

  EXPECT_EQ(ask(client, {"sn.echo", "1"}), (Frames{"FORBIDDEN_SN", "REPLY", "1"}));
  node.nodes.insert(client_keys.key);
  EXPECT_EQ(ask(client, {"sn.echo", "2"}), (Frames{"REPLY", "2"}));
  node.nodes.clear();
  EXPECT_EQ(ask(client, {"sn.echo", "3"}), (Frames{"FORBIDDEN_SN", "REPLY", "3"}));
  EXPECT_EQ(node.omq->counters().refused_forbidden, 2U);
}

TEST_F(OmqServer, GivesNoRightsForTheRoutingIdOfAServiceNode) {
  const KeyPair victim = test::key_pair(5);
  node.nodes.insert(victim.key);
  node.add_echo("sn.echo", OmqAccess::service_node);
  connect(client, client_keys, test::node_routing_id(victim.key));

  EXPECT_EQ(ask(client, {"sn.echo", "1"}), (Frames{"FORBIDDEN_SN", "REPLY", "1"}));
}

TEST_F(OmqServer, ServesAPeerThatReconnectsUnderItsRoutingId) {
  const std::string routing_id = test::node_routing_id(client_keys.key);
  node.add_echo("storage.echo");
  connect(client, client_keys, routing_id);
  ASSERT_EQ(ask(client, {"storage.echo", "1"}), (Frames{"REPLY", "1"}));

  RawPeer again;  // while the first connection is still open
  connect(again, client_keys, routing_id);

  EXPECT_EQ(ask(again, {"storage.echo", "2"}), (Frames{"REPLY", "2"}));
  EXPECT_EQ(ask(again, {"storage.echo", "3"}), (Frames{"REPLY", "3"}));
}

TEST_F(OmqServer, AnswersTheConnectionThatAskedWhoeverElseHasItsRoutingId) {
  std::optional<OmqConnection> first;
  std::optional<OmqReply> late;
  node.omq->add_command("storage.wait", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          first = command.connection;
                          late = reply;
                        });
  connect(client, client_keys, "somebody");
  client.send({"storage.wait", "secret"});
  ASSERT_TRUE(run_until(io, [&] { return late.has_value(); }));

  RawPeer thief;
  connect(thief, test::key_pair(10), "somebody");
  ASSERT_EQ(ask(thief, {"HI"}), (Frames{"HELLO"}));
  (*late)({"for the first one alone"});

  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "secret", "for the first one alone"}));
  EXPECT_TRUE(node.omq->send(*first, "notify.message", {"too"}));
  EXPECT_EQ(client.receive(io), (Frames{"notify.message", "too"}));
  EXPECT_EQ(ask(thief, {"HI"}), (Frames{"HELLO"}));
}

TEST_F(OmqServer, PushesToAConnectedClientUntilItHasGone) {
  std::optional<OmqConnection> connection;
  node.omq->add_command("monitor.messages", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          connection = command.connection;
                          reply({"ok"});
                        });
  auto leaving = std::make_unique<RawPeer>();
  connect(*leaving, client_keys);
  ASSERT_EQ(ask(*leaving, {"monitor.messages", "t"}), (Frames{"REPLY", "t", "ok"}));

  EXPECT_TRUE(node.omq->send(*connection, "notify.message", {"news"}));
  EXPECT_EQ(leaving->receive(io), (Frames{"notify.message", "news"}));
  leaving.reset();
  EXPECT_TRUE(run_until(io, [&] { return !node.omq->send(*connection, "notify.message", {}); }));
}

TEST_F(OmqServer, TellsOfEachConnectionThatIsOver) {
  std::vector<OmqConnection> connections;
  std::vector<OmqConnection> closed;
  node.omq->set_on_closed([&](OmqConnection connection) { closed.push_back(connection); });
  node.omq->add_command("storage.who", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          connections.push_back(command.connection);
                          reply({});
                        });
  auto leaving = std::make_unique<RawPeer>();
  connect(*leaving, test::key_pair(33));
  ASSERT_EQ(ask(*leaving, {"storage.who", "t"}), (Frames{"REPLY", "t"}));
  connect(client, client_keys);
  ASSERT_EQ(ask(client, {"storage.who", "t"}), (Frames{"REPLY", "t"}));
  EXPECT_TRUE(closed.empty());

  leaving.reset();  // without a word
  ASSERT_TRUE(run_until(io, [&] { return closed.size() == 1; }));
  client.send({"BYE"});
  ASSERT_TRUE(run_until(io, [&] { return closed.size() == 2; }));
  EXPECT_EQ(closed, connections);
}

TEST_F(OmqServer, ForgetsAClientThatSaysBye) {
  std::optional<OmqConnection> connection;
  node.omq->add_command("storage.who", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          connection = command.connection;
                          reply({});
                        });
  client.never_reconnect();
  connect(client, client_keys);
  ASSERT_EQ(ask(client, {"storage.who", "t"}), (Frames{"REPLY", "t"}));
  client.send({"BYE"});
  ASSERT_TRUE(run_until(io, [&] { return !node.omq->send(*connection, "notify.message", {}); }));

  while (client.try_receive().has_value()) {
  }
  client.send({"HI"});
  EXPECT_FALSE(client.try_receive().has_value()) << "the TCP connection has ended with it";
}

TEST_F(OmqServer, AnswersHeartbeatsWithTheirContext) {
  node.add_echo("storage.echo");
  test::RawZmtpClient raw(io, node.endpoint(), node.key());
  raw.write(raw.ping("context"));
  raw.write(raw.ping(std::string(17, 'x')));
  raw.write(raw.message({"HI"}));

  EXPECT_EQ(raw.receive(io), "\2\4PONGcontext");
  EXPECT_EQ(raw.receive(io), std::string("\0HELLO", 6))
      << "a context has at most 16 bytes (RFC 37)";
}

TEST_F(OmqServer, CountsARequestThatIsNeverAnsweredSinceWhoeverAskedHasGone) {
  std::optional<OmqReply> waiting;
  node.omq->add_command("storage.wait", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand&, const OmqReply& reply) { waiting = reply; });
  connect(client, client_keys);
  client.send({"storage.wait", "1"});
  ASSERT_TRUE(run_until(io, [&] { return waiting.has_value(); }));
  EXPECT_EQ(node.omq->counters().unsent_gone, 0U);
  waiting.reset();

  EXPECT_EQ(node.omq->counters().unsent_gone, 1U);
}

TEST_F(OmqServer, CountsConnectionsThatBreakTheProtocolAndNoOthers) {
  const auto come = [&](const std::string& bytes) {
    test::tcp::socket socket(io, test::tcp::v4());
    socket.connect(node.endpoint());
    boost::asio::write(socket, boost::asio::buffer(bytes));
    return socket;
  };
  {
    test::RawZmtpClient honest(io, node.endpoint(), node.key());
    honest.write(honest.message({"HI"}));
    EXPECT_EQ(honest.receive(io), std::string("\0HELLO", 6));
  }
  const auto no_zmtp =
      come("GET / HTTP/1.1\r\nHost: a.name.that.fills.a.greeting.with.its.bytes\r\n\r\n");
  ASSERT_TRUE(run_until(io, [&] { return node.omq->counters().cut_broken == 1; }));
  test::RawZmtpClient forger(io, node.endpoint(), node.key());
  std::string forged = forger.message({"HI"});
  forged.back() ^= 1;
  forger.write(forged);

  EXPECT_TRUE(run_until(io, [&] { return node.omq->counters().cut_broken == 2; }));
}

TEST_F(OmqServer, TakesLateAndRepeatedRepliesInItsStride) {
  std::optional<OmqReply> late;
  node.omq->add_command("storage.wait", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand&, const OmqReply& reply) { late = reply; });
  auto leaving = std::make_unique<RawPeer>();
  connect(*leaving, client_keys);
  leaving->send({"storage.wait", "1"});
  ASSERT_TRUE(run_until(io, [&] { return late.has_value(); }));
  leaving.reset();
  (*late)({"a"});
  (*late)({"b"});

  connect(client, client_keys);
  late.reset();
  client.send({"storage.wait", "2"});
  ASSERT_TRUE(run_until(io, [&] { return late.has_value(); }));
  (*late)({"a"});
  (*late)({"b"});
  EXPECT_EQ(client.receive(io), (Frames{"REPLY", "2", "a"}));
  EXPECT_EQ(ask(client, {"HI"}), (Frames{"HELLO"}));

  node.omq.reset();
  (*late)({"c"});
}

TEST_F(OmqServer, AnswersTwoHundredRequestsInAnyOrder) {
  constexpr std::size_t kCount = 200;
  std::vector<std::pair<std::string, OmqReply>> waiting;
  node.omq->add_command("storage.wait", OmqAccess::open, OmqForm::request,
                        [&](const OmqCommand& command, const OmqReply& reply) {
                          waiting.emplace_back(command.parts.at(0), reply);
                        });
  connect(client, client_keys);
  for (std::size_t i = 0; i < kCount; ++i) {
    client.send({"storage.wait", "t" + std::to_string(i), std::to_string(i)});
  }
  ASSERT_TRUE(run_until(io, [&] { return waiting.size() == kCount; }));
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto& [text, reply] = waiting[i * 77 % kCount];
    reply({text});
  }

  for (std::size_t i = 0; i < kCount; ++i) {
    const std::string number = std::to_string(i * 77 % kCount);
    ASSERT_EQ(client.receive(io), (Frames{"REPLY", "t" + number, number}));
  }
}

TEST_F(OmqServer, LeavesNoThreadAndNoDescriptor) {
  const auto entries_of = [](const char* directory) {
    return std::distance(std::filesystem::directory_iterator(directory), {});
  };
  const auto threads = entries_of("/proc/self/task");
  const auto descriptors = entries_of("/proc/self/fd");
  {
    TestNode other(io, 2);
    other.add_echo("storage.echo");
    bool is_answered = false;
    node.omq->request(other.peer(), "storage.echo", {}, std::chrono::seconds(5),
                      [&](const Result<OmqParts>&) { is_answered = true; });
    ASSERT_TRUE(run_until(io, [&] { return is_answered; }));
    EXPECT_GT(entries_of("/proc/self/task"), threads);
  }
  node.omq.reset();

  EXPECT_EQ(entries_of("/proc/self/task"), threads);
  EXPECT_LT(entries_of("/proc/self/fd"), descriptors);
}

TEST_F(OmqServer, ListensOnIpv6AsWell) {
  OmqOptions options;
  options.listen = {test::loopback(), {boost::asio::ip::address_v6::loopback(), 0}};
  auto opened = OmqEndpoint::open(io, test::key_pair(2).secret, options,
                                  [](const X25519Key&) { return false; });
  if (!opened) {
    GTEST_SKIP() << "no IPv6 here";
  }
  client.connect((*opened)->listening().at(1), test::key_pair(2).key, client_keys);

  EXPECT_EQ(ask(client, {"HI"}), (Frames{"HELLO"}));
}

TEST_F(OmqServer, ListensOnAllAddressesOfBothFamiliesWithOnePort) {
  OmqOptions options;
  options.listen = {{boost::asio::ip::address_v4::any(), 0}};
  const auto accept_all = [](const X25519Key&) { return false; };
  auto first = OmqEndpoint::open(io, test::key_pair(2).secret, options, accept_all);
  ASSERT_TRUE(first);
  const std::uint16_t port = (*first)->listening().at(0).port();
  first->reset();
  options.listen = {{boost::asio::ip::address_v4::any(), port},
                    {boost::asio::ip::address_v6::any(), port}};
  auto opened = OmqEndpoint::open(io, test::key_pair(2).secret, options, accept_all);
  if (!opened && opened.error().text.find("family") != std::string::npos) {
    GTEST_SKIP() << "no IPv6 here";
  }
  ASSERT_TRUE(opened) << opened.error().text;
  for (const boost::asio::ip::address& address :
       {boost::asio::ip::address(boost::asio::ip::address_v4::loopback()),
        boost::asio::ip::address(boost::asio::ip::address_v6::loopback())}) {
    RawPeer peer;
    peer.connect({address, port}, test::key_pair(2).key, client_keys);
    EXPECT_EQ(ask(peer, {"HI"}), (Frames{"HELLO"})) << address;
  }
}

TEST_F(OmqServer, SaysSoWhenItsPortIsTaken) {
  OmqOptions options;
  options.listen = {node.endpoint()};
  const auto opened = OmqEndpoint::open(io, test::key_pair(2).secret, options,
                                        [](const X25519Key&) { return false; });

  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().code, Errc::io);
}

}  // namespace
}  // namespace allium::control
