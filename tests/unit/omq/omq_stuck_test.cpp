// SPDX-License-Identifier: Apache-2.0

// Connections that libzmq does not let go of: one whose routing id another one has taken over, and that has sent a message since, is
// never read again, and its end never seen.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "control/service/omq/omq_endpoint.hpp"
#include "tests/unit/omq/holding_proxy.hpp"
#include "tests/unit/omq/raw_peer.hpp"
#include "tests/unit/omq/test_node.hpp"

namespace allium::control {
namespace {

using test::Frames;
using test::HoldingProxy;
using test::RawPeer;
using test::run_until;
using test::TestNode;

using std::chrono::milliseconds;

std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

class OmqStuck : public testing::Test {
 protected:
  static OmqOptions options() {
    OmqOptions options;
    options.input_interval = milliseconds(5);
    options.stuck_after = milliseconds(50);
    options.stuck_interval = std::chrono::hours(24);
    return options;
  }

  /// Makes stuck connections until `is_done`, however many of the attempts succeed.
  bool stick(TestNode& node, const std::function<bool()>& is_done) {
    for (int i = 0; i < 500 && !is_done(); ++i) {
      RawPeer victim;
      victim.connect(node.endpoint(), node.key(), test::key_pair(9), "taken");
      victim.send({"HI"});
      if (victim.receive(io, milliseconds(500)).empty()) {
        continue;  // not let in any more
      }
      RawPeer thief;
      thief.connect(node.endpoint(), node.key(), test::key_pair(9), "taken");
      for (int sent = 0; sent < 20; ++sent) {
        victim.send({"x.y"});
        run_until(
            io, [] { return false; }, milliseconds(1));
      }
    }
    return is_done();
  }

  boost::asio::io_context io;
};

TEST_F(OmqStuck, ConnectionsAreEndedWithAllOthersWhenTheyAreTooMany) {
  OmqOptions bounded = options();
  bounded.limits.stuck = 4;
  TestNode node(io, 1, bounded);
  RawPeer client;
  client.connect(node.endpoint(), node.key(), test::key_pair(10));
  client.send({"HI"});
  ASSERT_EQ(client.receive(io), Frames{"HELLO"});
  const std::size_t before = descriptors();

  ASSERT_TRUE(stick(node, [&] { return node.omq->counters().ended_stuck > 0; }));
  // Not all: some may have got stuck after it.
  EXPECT_TRUE(run_until(io, [&] { return descriptors() < before + bounded.limits.stuck; }));
  bool is_served = false;  // what is sent before libzmq has noticed is lost with the connection
  EXPECT_TRUE(run_until(io, [&] {
    client.send({"HI"});
    return is_served = is_served || client.try_receive().has_value();
  }));
}

TEST_F(OmqStuck, ConnectionsShutTheirAddressOut) {
  OmqOptions bounded = options();
  bounded.limits.stuck_per_address = 2;
  TestNode node(io, 1, bounded);
  ASSERT_TRUE(stick(node, [&] { return node.omq->counters().refused_stuck > 0; }));
  EXPECT_EQ(node.omq->counters().ended_stuck, 0U);

  RawPeer same;
  same.connect(node.endpoint(), node.key(), test::key_pair(10));
  same.send({"HI"});
  EXPECT_TRUE(same.receive(io, milliseconds(200)).empty());
  node.nodes.insert(test::key_pair(11).key);
  RawPeer service_node;
  service_node.connect(node.endpoint(), node.key(), test::key_pair(11));
  service_node.send({"HI"});
  EXPECT_EQ(service_node.receive(io), Frames{"HELLO"}) << "whatever its neighbours do";
  HoldingProxy proxy(io, node.endpoint(), {}, "127.0.0.2");
  RawPeer other;
  other.connect(proxy.endpoint(), node.key(), test::key_pair(10));
  other.send({"HI"});
  EXPECT_EQ(other.receive(io), Frames{"HELLO"});
}

TEST_F(OmqStuck, ConnectionsAreEndedNowAndAgainForTheirNeighbours) {
  OmqOptions bounded = options();
  bounded.limits.stuck_per_address = 2;
  bounded.stuck_interval = milliseconds(500);
  TestNode node(io, 1, bounded);
  ASSERT_TRUE(stick(node, [&] { return node.omq->counters().ended_stuck > 0; }));

  RawPeer neighbour;
  neighbour.connect(node.endpoint(), node.key(), test::key_pair(10));
  neighbour.send({"HI"});
  EXPECT_EQ(neighbour.receive(io), Frames{"HELLO"});
}

}  // namespace
}  // namespace allium::control
