// SPDX-License-Identifier: Apache-2.0
#include "control/network/service_nodes.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "control/network/oxend_shape.hpp"
#include "crypto_accel/primitives.hpp"
#include "tests/unit/network/test_network.hpp"

namespace allium::control {
namespace {

namespace json = boost::json;

ServiceNode node(std::uint8_t n, SwarmId swarm) {
  ServiceNode node;
  node.legacy.fill(n);
  node.ed25519.fill(n);
  node.x25519.fill(static_cast<std::uint8_t>(n + 100));
  node.ip = "10.0.0." + std::to_string(n);
  node.https_port = 22021;
  node.omq_port = 22020;
  node.swarm = swarm;
  return node;
}

const ServiceNodes kNodes({node(3, 7), node(1, 7), node(2, 9), node(4, kNoSwarm), node(1, 9)});
const ChainState kChain = {12, {19, 4}, {2, 8, 0}};

json::object list_of(const ServiceNodes& nodes, const json::object& params,
                     std::uint64_t seed = 1) {
  test::FixedRandom random(seed);
  return service_nodes_result(nodes, kChain, params, random.source());
}

/// The last byte of each address, in the order of the answer.
std::vector<int> numbers_of(const ServiceNodes& nodes, const json::object& params,
                            std::uint64_t seed = 1) {
  std::vector<int> numbers;
  const json::object result = list_of(nodes, params, seed);
  for (const json::value& state : result.at("service_node_states").as_array()) {
    numbers.push_back(std::stoi(std::string(state.at("public_ip").as_string().subview(7))));
  }
  return numbers;
}

TEST(ServiceNodes, AreFoundByEitherKey) {
  ASSERT_EQ(kNodes.all().size(), 4U) << "of two with one key the first counts";
  EXPECT_EQ(kNodes.find_ed25519(node(3, 7).ed25519)->ip, "10.0.0.3");
  EXPECT_EQ(kNodes.find_x25519(node(2, 9).x25519)->ip, "10.0.0.2");
  EXPECT_EQ(kNodes.find_ed25519(node(9, 7).ed25519), nullptr);
  EXPECT_EQ(kNodes.find_x25519(node(3, 7).ed25519), nullptr);
}

TEST(ServiceNodes, KnowTheMembersOfASwarm) {
  EXPECT_EQ(kNodes.members(7).size(), 2U);
  EXPECT_EQ(kNodes.members(9).size(), 1U);
  EXPECT_TRUE(kNodes.members(8).empty());
  EXPECT_TRUE(kNodes.members(kNoSwarm).empty());
  EXPECT_EQ(kNodes.swarms().ids(), (std::vector<SwarmId>{7, 9}));
}

TEST(ServiceNodes, OfADocumentAreItsRelaysThatKeepMessages) {
  NetworkDocument document;
  for (std::uint8_t n = 1; n <= 2; ++n) {
    RelayEntry& relay = document.relays.emplace_back(test::relay_entry(n));
    relay.service = n == 1 ? std::optional(ServiceEntry{77, 22021, 22020}) : std::nullopt;
  }
  const ServiceNodes nodes = service_nodes_of(document);
  ASSERT_EQ(nodes.all().size(), 1U);
  const ServiceNode& only = nodes.all().front();
  EXPECT_EQ(only.ed25519, test::key_of(1).public_key());
  EXPECT_EQ(only.legacy, only.ed25519);
  EXPECT_EQ(only.x25519, crypto_accel::x25519_public(test::key_of(1).x25519_secret()));
  EXPECT_EQ(only.ip, "10.0.0.1");
  EXPECT_EQ(only.swarm, 77U);
  EXPECT_EQ(only.https_port, 22021);
  EXPECT_EQ(only.omq_port, 22020);
}

TEST(SnodeAddress, HasFiftyTwoCharactersOfZooksAlphabet) {
  NodeKey key{};
  EXPECT_EQ(snode_address(key), std::string(52, 'y') + ".snode");
  key.fill(0xff);
  // 256 bits: 51 characters of five and one bit, which stands in the highest place.
  EXPECT_EQ(snode_address(key), std::string(51, '9') + "o.snode");
  key.fill(0);
  key[0] = 0x08;  // the first five bits are 00001
  EXPECT_EQ(snode_address(key).front(), 'b');
}

TEST(OxendShape, TellsEveryNodeWithAllItsFields) {
  const json::object result = list_of(kNodes, {});
  const json::array& states = result.at("service_node_states").as_array();
  ASSERT_EQ(states.size(), 4U);
  const json::object& first = states[0].as_object();
  EXPECT_EQ(first.at("public_ip"), "10.0.0.1");
  EXPECT_EQ(first.at("storage_port"), 22021);
  EXPECT_EQ(first.at("storage_lmq_port"), 22020);
  EXPECT_EQ(first.at("pubkey_x25519").as_string().size(), 64U);
  EXPECT_EQ(first.at("storage_server_version"), (json::array{2, 8, 0}));
  EXPECT_EQ(first.at("swarm_id"), 7);
  EXPECT_EQ(result.at("height"), 12);
  EXPECT_EQ(result.at("hardfork"), 19);
  EXPECT_EQ(result.at("snode_revision"), 4);
}

TEST(OxendShape, GivesTheFieldsThatWereAskedForAsObjectOrAsList) {
  const json::object as_object = {
      {"fields", {{"public_ip", true}, {"storage_port", true}, {"swarm_id", false}}}};
  const json::object as_list = {{"fields", {"public_ip", "storage_port"}}};
  for (const json::object& params : {as_object, as_list}) {
    const json::object result = list_of(kNodes, params);
    const json::object& first = result.at("service_node_states").as_array()[0].as_object();
    EXPECT_EQ(first.size(), 2U);
    EXPECT_TRUE(first.contains("public_ip"));
  }
}

TEST(OxendShape, HeedsLimitAndActiveOnly) {
  const auto count = [](const json::object& params) { return numbers_of(kNodes, params).size(); };
  EXPECT_EQ(count({{"active_only", true}}), 3U);
  EXPECT_EQ(count({{"limit", 2}}), 2U);
  EXPECT_EQ(count({{"limit", 2}, {"active_only", true}}), 2U);
  EXPECT_EQ(count({{"limit", 9}}), 4U);
  EXPECT_EQ(count({{"limit", 0}}), 4U);
  EXPECT_EQ(count({{"limit", -1}}), 4U);
  EXPECT_EQ(count({{"limit", "many"}, {"fields", 7}}), 4U) << "what it does not know it leaves";
}

TEST(OxendShape, LimitsByChanceAndInAnOrderByChance) {
  std::map<int, int> first;
  std::map<int, int> times;
  constexpr int kRounds = 4000;
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<int> some =
        numbers_of(kNodes, {{"limit", 2}}, static_cast<std::uint64_t>(round));
    ASSERT_EQ(std::set<int>(some.begin(), some.end()).size(), 2U) << "each once";
    ++first[some.front()];
    for (const int number : some) {
      ++times[number];
    }
  }
  for (int number = 1; number <= 4; ++number) {  // five standard deviations of a fair choice
    EXPECT_NEAR(first[number], kRounds / 4, 140) << number;
    EXPECT_NEAR(times[number], kRounds / 2, 160) << number;
  }
}

TEST(OxendShape, ShufflesAllWhereTheLimitIsNegativeAndNoneWhereThereIsNoLimit) {
  const std::vector<int> in_order = {1, 2, 3, 4};
  std::set<std::vector<int>> orders;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    EXPECT_EQ(numbers_of(kNodes, {{"limit", 0}}, seed), in_order);
    EXPECT_EQ(numbers_of(kNodes, {}, seed), in_order);
    std::vector<int> all = numbers_of(kNodes, {{"limit", -1}}, seed);
    orders.insert(all);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, in_order);
  }
  EXPECT_EQ(orders.size(), 24U) << "every order comes up";
}

TEST(OxendShape, TellsOfTheNodesThatWereAskedFor) {
  std::vector<ServiceNode> nodes;
  for (std::uint8_t n = 1; n <= 4; ++n) {
    ServiceNode& one = nodes.emplace_back(node(n, n == 4 ? kNoSwarm : 7));
    one.legacy.fill(static_cast<std::uint8_t>(n + 0xa0));  // asked for by this one, not by ed25519
  }
  const ServiceNodes known(nodes);
  const auto hex = [](std::string_view byte) {
    std::string text;
    for (int i = 0; i < 32; ++i) {
      text += byte;
    }
    return text;
  };
  const auto asked = [&](const json::array& keys, json::object params = {}) {
    params["service_node_pubkeys"] = keys;
    return numbers_of(known, params);
  };
  EXPECT_EQ(asked({hex("a2")}), std::vector<int>{2});
  EXPECT_EQ(asked({hex("A3"), hex("a1"), hex("a3")}), (std::vector<int>{1, 3}));
  EXPECT_EQ(asked({}), (std::vector<int>{1, 2, 3, 4})) << "none is all";
  EXPECT_TRUE(asked({hex("02")}).empty()) << "an ed25519 key that is no legacy key";
  EXPECT_TRUE(asked({"a2", 5, nullptr}).empty()) << "no keys at all are not all nodes";
  EXPECT_EQ(asked({hex("a2"), hex("a4")}, {{"active_only", true}}), std::vector<int>{2});
  EXPECT_EQ(asked({hex("a2"), hex("a4")}, {{"limit", 1}}).size(), 1U);
  EXPECT_EQ(numbers_of(known, {{"service_node_pubkeys", hex("a2")}}).size(), 4U) << "no list";
}

TEST(OxendShape, SaysUnchangedToWhoKnowsTheList) {
  const json::object first = list_of(kNodes, {});
  const json::object again = list_of(kNodes, {{"poll_block_hash", first.at("block_hash")}});
  EXPECT_EQ(again.at("unchanged"), true);
  EXPECT_FALSE(again.contains("service_node_states"));
  const json::object other =
      list_of(ServiceNodes({node(1, 7)}), {{"poll_block_hash", first.at("block_hash")}});
  EXPECT_FALSE(other.contains("unchanged"));
}

TEST(OxendShape, AnswersJsonRpc) {
  const auto ask = [](std::string_view request) {
    test::FixedRandom random(1);
    return json::parse(json_rpc_answer(request, kNodes, kChain, random.source())).as_object();
  };
  const json::object list = ask(
      R"({"jsonrpc":"2.0","id":"7","method":"get_n_service_nodes","params":{"active_only":true,"limit":2,)"
      R"("fields":{"public_ip":true,"pubkey_ed25519":true}}})");
  EXPECT_EQ(list.at("id"), "7");
  EXPECT_EQ(list.at("jsonrpc"), "2.0");
  EXPECT_EQ(list.at("result").at("status"), "OK");
  const json::array& states = list.at("result").at("service_node_states").as_array();
  ASSERT_EQ(states.size(), 2U);
  EXPECT_TRUE(states[0].as_object().contains("public_ip"));
  EXPECT_FALSE(states[0].as_object().contains("storage_port"));
  EXPECT_EQ(ask(R"({"id":1,"method":"get_service_nodes"})")
                .at("result")
                .at("service_node_states")
                .as_array()
                .size(),
            kNodes.all().size());
  const auto code = [&](std::string_view request) {
    return ask(request).at("error").at("code").as_int64();
  };
  EXPECT_EQ(code("{"), -32700);
  EXPECT_EQ(code("[]"), -32600);
  EXPECT_EQ(code(R"({"method":5})"), -32600);
  EXPECT_EQ(code(R"({"method":"stop_daemon"})"), -32601);
}

}  // namespace
}  // namespace allium::control
