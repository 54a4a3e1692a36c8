// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/store_requests.hpp"

#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>

#include "control/service/encoding.hpp"
#include "control/service/internal/message_hash.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

storage::Account account() {
  storage::Account account;
  account.fill(0x11);
  account[0] = 5;
  return account;
}

RunningNode member(std::uint8_t n) {
  RunningNode node;
  node.name = "n" + std::to_string(n);
  node.node.ed25519.fill(n);
  return node;
}

std::string key_of(const RunningNode& node) {
  return control::to_hex(node.node.ed25519);
}

TEST(StoreRequest, IsAStoreOfSoManyBytesUnderTheProtocolsHash) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{76'800}}) {
    const StoreRequest request = store_request(account(), size, 1'800'000'000'000, system_random());
    const json::value body = json::parse(request.body);
    EXPECT_EQ(body.at("method"), "store");
    const json::value& params = body.at("params");
    EXPECT_EQ(params.at("pubkey").as_string().c_str(), "05" + std::string(64, '1'));
    EXPECT_EQ(params.at("timestamp").to_number<std::uint64_t>(), 1'800'000'000'000U);
    EXPECT_EQ(params.at("ttl").to_number<std::uint64_t>(), kMessageLifeMs);
    const auto data = control::from_base64(params.at("data").as_string());
    ASSERT_TRUE(data);
    EXPECT_EQ(data->size(), size);
    EXPECT_EQ(request.hash, control::internal::message_hash(account(), 0, *data));
  }
}

TEST(StoreRequest, IsAnotherMessageEachTime) {
  const auto hash = [] { return store_request(account(), 16, 1, system_random()).hash; };
  EXPECT_NE(hash(), hash());
}

class StoreAnswer : public testing::Test {
 protected:
  StoreAnswer() {
    for (const RunningNode& node : members) {
      swarm[key_of(node)] = json::object{{"hash", "abc"}, {"signature", "s"}};
    }
  }

  [[nodiscard]] std::string wrong(const json::object& answer) const {
    return wrong_in_store_answer(json::serialize(answer), "abc", members);
  }

  std::vector<RunningNode> members = {member(1), member(2), member(3)};
  json::object swarm;
};

TEST_F(StoreAnswer, IsRightWhereEveryMemberHoldsTheMessage) {
  EXPECT_EQ(wrong({{"hash", "abc"}, {"swarm", swarm}, {"t", 1}}), "");
}

TEST_F(StoreAnswer, IsWrongWithAnotherHashOrNone) {
  EXPECT_NE(wrong({{"hash", "abd"}, {"swarm", swarm}}), "");
  EXPECT_NE(wrong({{"hash", 7}, {"swarm", swarm}}), "");
  EXPECT_NE(wrong({{"swarm", swarm}}), "");
  EXPECT_NE(wrong_in_store_answer("Too Many Requests", "abc", members), "");
  EXPECT_NE(wrong_in_store_answer("[]", "abc", members), "");
  EXPECT_NE(wrong_in_store_answer("", "abc", members), "");
}

TEST_F(StoreAnswer, IsWrongWhereAMemberFailedIsMissingOrIsSomebodyElse) {
  const std::string first = key_of(members[0]);
  for (const json::value& entry :
       {json::value({{"failed", true}, {"timeout", true}}), json::value({{"hash", "abd"}}),
        json::value({{"hash", "abc"}, {"failed", 1}}), json::value("abc")}) {
    json::object changed = swarm;
    changed[first] = entry;
    EXPECT_EQ(wrong({{"hash", "abc"}, {"swarm", changed}}), "n1 does not hold the message");
  }
  json::object changed = swarm;
  changed.erase(first);
  EXPECT_NE(wrong({{"hash", "abc"}, {"swarm", changed}}), "");
  changed[key_of(member(9))] = json::object{{"hash", "abc"}};
  EXPECT_NE(wrong({{"hash", "abc"}, {"swarm", changed}}), "");
  EXPECT_NE(wrong({{"hash", "abc"}}), "");
  EXPECT_NE(wrong({{"hash", "abc"}, {"swarm", "all"}}), "");
}

}  // namespace
}  // namespace allium::bench
