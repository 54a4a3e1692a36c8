// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/service_network.hpp"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "control/network/network_view.hpp"
#include "crypto_accel/base/random.hpp"
#include "tests/unit/network/test_network.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;
using control::test::key_of;

constexpr control::SwarmId kSwarm = 1000;
constexpr control::SwarmId kOtherSwarm = std::uint64_t{1} << 63;

/// Relays 1 to 4 keep messages, the third of them in another swarm; relay 5 does not.
control::NetworkDocument document() {
  control::NetworkDocument document;
  for (std::uint8_t n = 1; n <= 5; ++n) {
    control::RelayEntry& relay = document.relays.emplace_back(control::test::relay_entry(n));
    if (n < 5) {
      relay.service = control::ServiceEntry{n == 3 ? kOtherSwarm : kSwarm, 22021, 22020};
    }
  }
  return document;
}

json::object node_status(std::uint8_t n, const json::value& pid) {
  return {{"name", "n" + std::to_string(n)},
          {"pid", 7},
          {"service_pid", pid},
          {"service_key", control::identity_key_text(key_of(n).public_key())}};
}

json::object status() {
  return {{"nodes",
           {node_status(1, 101),
            node_status(2, 102),
            node_status(3, nullptr),
            node_status(4, 104),
            {{"name", "n5"}, {"pid", 7}}}}};
}

std::string names(const std::vector<RunningNode>& nodes) {
  std::string text;
  for (const RunningNode& node : nodes) {
    text += node.name + " ";
  }
  return text;
}

TEST(ServiceNetwork, HasTheServicesInTheDevnetsOrder) {
  const ServiceNetwork network = service_network(status(), document()).value();
  EXPECT_EQ(names(network.nodes), "n1 n2 n3 n4 ");
  EXPECT_EQ(network.nodes[1].pid, 102);
  EXPECT_EQ(network.nodes[1].node.ip, "10.0.0.2");
  EXPECT_EQ(network.nodes[1].node.https_port, 22021);
  EXPECT_EQ(network.swarms.ids(), (std::vector<control::SwarmId>{kSwarm, kOtherSwarm}));
}

TEST(ServiceNetwork, SaysHowToStartOneWhereThereIsNone) {
  for (const json::array& nodes : {json::array{}, json::array{{{"name", "n5"}, {"pid", 7}}}}) {
    const auto network = service_network({{"nodes", nodes}}, document());
    ASSERT_FALSE(network);
    EXPECT_EQ(network.error().code, Errc::not_found);
    EXPECT_NE(network.error().text.find("allium devnet up"), std::string::npos);
  }
}

TEST(ServiceNetwork, RefusesAStatusThatDoesNotFitTheDocument) {
  json::object stranger = node_status(9, 109);
  json::object nameless = node_status(1, 101);
  nameless.erase("name");
  json::object wordy = node_status(1, 101);
  wordy["service_pid"] = "101";
  json::object bad_key = node_status(1, 101);
  bad_key["service_key"] = "xyz";
  for (const json::object& node : {stranger, nameless, wordy, bad_key}) {
    EXPECT_EQ(service_network({{"nodes", json::array{node}}}, document()).error().code,
              Errc::malformed);
  }
  EXPECT_EQ(service_network({}, document()).error().code, Errc::malformed);
}

TEST(Swarm, IsTheEntryAndThoseWithIt) {
  const ServiceNetwork network = service_network(status(), document()).value();
  EXPECT_EQ(names(swarm_around(network, "").value()), "n1 n2 n4 ");
  EXPECT_EQ(names(swarm_around(network, "n4").value()), "n4 n1 n2 ");
  EXPECT_EQ(swarm_around(network, "n9").error().code, Errc::not_found);
}

TEST(Swarm, IsNotMeasuredWithAMemberThatDoesNotRun) {
  json::object with_dead = status();
  with_dead["nodes"].as_array()[1] = node_status(2, -1);
  const auto swarm = swarm_around(service_network(with_dead, document()).value(), "n1");
  ASSERT_FALSE(swarm);
  EXPECT_EQ(swarm.error().code, Errc::unavailable);
  EXPECT_NE(swarm.error().text.find("allium devnet start n2"), std::string::npos);
}

TEST(Path, IsAsLongAsAskedAndAlive) {
  const ServiceNetwork network = service_network(status(), document()).value();
  EXPECT_EQ(names(path_through(network, 1).value()), "n1 ");
  EXPECT_EQ(names(path_through(network, 2).value()), "n1 n2 ");
  EXPECT_EQ(path_through(network, 3).error().code, Errc::unavailable);
  EXPECT_EQ(path_through(network, 5).error().code, Errc::not_found);
}

TEST(Accounts, AreOfTheSwarmAndDifferent) {
  const ServiceNetwork network = service_network(status(), document()).value();
  for (const control::SwarmId swarm : network.swarms.ids()) {
    const auto accounts = accounts_of(network.swarms, swarm, 64, system_random());
    ASSERT_EQ(accounts.size(), 64U);
    for (const storage::Account& account : accounts) {
      EXPECT_EQ(account[0], 5);
      EXPECT_EQ(network.swarms.swarm_of(storage::point_of(account)), swarm);
    }
    EXPECT_NE(accounts[0], accounts[1]);
  }
}

}  // namespace
}  // namespace allium::bench
