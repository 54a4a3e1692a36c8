// SPDX-License-Identifier: Apache-2.0

// A node for pyzmq_peer_test.py: prints its port and key, answers storage.info to everybody and, to
// the service node whose key it is given, sn.ping. `sn.call_me` makes it connect to the port in the
// first part, ask sn.echo there and answer what came of it. Ends with its standard input.
//
// usage: omq_echo_node SERVICE-NODE-KEY-IN-HEX

#include <unistd.h>

#include <cstdio>
#include <string>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "tests/unit/omq/test_node.hpp"

namespace {

using allium::Result;
using allium::control::OmqAccess;
using allium::control::OmqCommand;
using allium::control::OmqForm;
using allium::control::OmqParts;
using allium::control::OmqReply;
using allium::control::X25519Key;
using allium::control::test::tcp;
using allium::control::test::TestNode;

X25519Key key_from_hex(const std::string& hex) {
  ALLIUM_CHECK(hex.size() == 64);
  X25519Key key{};
  for (std::size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  }
  return key;
}

void call_back(TestNode& node, const OmqCommand& command, const OmqReply& reply) {
  const auto port = static_cast<std::uint16_t>(std::stoul(command.parts.at(0)));
  const tcp::endpoint endpoint(boost::asio::ip::address_v4::loopback(), port);
  node.omq->request({command.peer, endpoint}, "sn.echo", {"from the node"},
                    std::chrono::seconds(10), [reply](const Result<OmqParts>& answer) {
                      reply(answer ? *answer : OmqParts{"failed", answer.error().text});
                    });
}

void add_commands(TestNode& node) {
  node.omq->add_command(
      "storage.info", OmqAccess::open, OmqForm::request,
      [](const OmqCommand&, const OmqReply& reply) { reply({R"({"version":[2,8,0]})"}); });
  node.omq->add_command("sn.ping", OmqAccess::service_node, OmqForm::request,
                        [](const OmqCommand&, const OmqReply& reply) { reply({"pong"}); });
  node.omq->add_command("sn.call_me", OmqAccess::service_node, OmqForm::request,
                        [&node](const OmqCommand& command, const OmqReply& reply) {
                          call_back(node, command, reply);
                        });
}

}  // namespace

int main(int argc, char** argv) {
  ALLIUM_CHECK(argc == 2);
  boost::asio::io_context io;
  TestNode node(io);
  node.nodes.insert(key_from_hex(argv[1]));
  add_commands(node);
  std::printf("%u ", node.endpoint().port());
  for (const std::uint8_t byte : node.key()) {
    std::printf("%02x", byte);
  }
  std::printf("\n");
  std::fflush(stdout);

  boost::asio::posix::stream_descriptor input(io, dup(STDIN_FILENO));
  input.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                   [&io](const boost::system::error_code&) { io.stop(); });
  io.run();
  return 0;
}
