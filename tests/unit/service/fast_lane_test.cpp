// SPDX-License-Identifier: Apache-2.0
#include "control/service/fast_lane.hpp"

#include <numeric>

#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control {
namespace {

namespace json = boost::json;

std::vector<std::uint8_t> inner(std::uint8_t kind, std::uint32_t id, std::string_view content,
                                std::uint8_t flags = 0, std::size_t size = 800) {
  std::vector<std::uint8_t> data(size);
  data[0] = kind;
  data[1] = flags;
  store_be(data.data() + 2, content.size(), 2);
  store_be(data.data() + 4, id, 4);
  std::copy(content.begin(), content.end(), data.begin() + 8);
  return data;
}

class FastLaneTest : public ::testing::Test {
 protected:
  void deliver(std::vector<std::uint8_t> data, onion::PacketType type = onion::PacketType::s0) {
    control_port::DeliveryRecord record;
    record.type = type;
    record.data = std::move(data);
    record.sealed_context.assign(96, 7);
    lane.deliver(record);
    world.run(200);
  }

  void ask(std::string_view method, const json::object& params, std::uint32_t id = 77,
           onion::PacketType type = onion::PacketType::s0) {
    deliver(inner(1, id, serialise_bt(json::object{{"method", method}, {"params", params}})), type);
  }

  /// The one answer in `sent`, put together as a client does.
  json::object answer(std::uint64_t first_seq = 0, std::uint32_t id = 77) {
    std::string text;
    for (std::size_t i = 0; i < sent.size(); ++i) {
      const auto header = parse_inner_header(sent[i].data);
      EXPECT_TRUE(header);
      EXPECT_EQ(sent[i].seq, first_seq + i);
      EXPECT_LE(sent[i].data.size(), 1056U);
      EXPECT_EQ(sent[i].sealed_context, std::vector<std::uint8_t>(96, 7));
      EXPECT_EQ(header->kind, InnerHeader::response);
      EXPECT_EQ(header->id, id);
      EXPECT_EQ(load_be(header->content.data(), 2), i);
      EXPECT_EQ(load_be(header->content.data() + 2, 2), sent.size());
      text.append(header->content.begin() + 4, header->content.end());
    }
    const auto value = parse_bt(text);
    EXPECT_TRUE(value) << text;
    return value ? value->as_object() : json::object();
  }

  /// As bt has it.
  json::object retrieve(const test::TestAccount& account) {
    json::object request = account.retrieve(world.now_ms);
    request["signature"] = from_base64(request.at("signature").as_string()).value();
    return request;
  }

  static std::int64_t code(const json::object& answer) { return answer.at("code").as_int64(); }

  test::SwarmWorld world{3};
  std::vector<control_port::ReturnReply> sent;
  FastLane lane{world.node(0).rpc(),
                [this](control_port::ReturnReply reply) { sent.push_back(std::move(reply)); }};
};

TEST_F(FastLaneTest, AnswersARequestInOnePacket) {
  ask("info", {});
  ASSERT_EQ(sent.size(), 1U);
  const json::object info = answer();
  EXPECT_EQ(code(info), 200);
  EXPECT_TRUE(info.at("body").as_object().contains("timestamp"));
  EXPECT_EQ(lane.counters().answered, 1U);
}

TEST_F(FastLaneTest, GivesBytesAsTheyAre) {
  ask("active_nodes_bin", {});
  const json::object nodes = answer();
  EXPECT_EQ(code(nodes), 200);
  EXPECT_EQ(nodes.at("body").as_string().size(), 3 * 51U);
}

TEST_F(FastLaneTest, GivesErrorsTheSameStatusAndText) {
  ask("no_such_method", {});
  const json::object refused = answer();
  EXPECT_EQ(code(refused), 400);
  EXPECT_EQ(refused.at("body").as_string(), "no method no_such_method");
}

TEST_F(FastLaneTest, NumbersAnswersToAPathOpenFromOne) {
  ask("info", {}, 5, onion::PacketType::s1);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(code(answer(1, 5)), 200);
}

TEST_F(FastLaneTest, StoresAndSpreadsALongAnswerOverPackets) {
  const test::TestAccount account(0x05, 1);
  for (int i = 0; i < 40; ++i) {
    sent.clear();
    ask("store", account.store(std::to_string(i) + std::string(400, 'x'), world.now_ms));
    const json::object stored = answer();
    ASSERT_EQ(code(stored), 200) << i << " " << stored;
  }
  sent.clear();
  ask("retrieve", retrieve(account));
  EXPECT_GT(sent.size(), 20U);
  EXPECT_LE(sent.size(), FastLane::kPiecesMax);
  const json::object got = answer();
  ASSERT_EQ(code(got), 200) << got;
  const json::object& page = got.at("body").as_object();
  EXPECT_GT(page.at("messages").as_array().size(), 30U);
  EXPECT_EQ(page.at("more").to_number<int>(), 1) << "the rest is for the next request";
}

TEST_F(FastLaneTest, NamesAMessageThatIsTooLongForPackets) {
  const test::TestAccount account(0x05, 1);
  for (const char* text : {"first", "", "last"}) {
    const std::string data = *text == '\0' ? std::string(70'000, 'x') : text;
    world.call(0, "store", account.store(data, world.now_ms));
  }
  const auto page_behind = [&](std::string_view last_hash) {
    sent.clear();
    json::object request = retrieve(account);
    request["last_hash"] = last_hash;
    ask("retrieve", request);
    return answer();
  };
  const auto hash_in = [](const json::object& page) {
    const json::array& messages = page.at("body").as_object().at("messages").as_array();
    return std::string(messages.at(0).as_object().at("hash").as_string());
  };
  const json::object refused = page_behind(hash_in(page_behind("")));
  ASSERT_EQ(code(refused), 413);
  const std::string reason(refused.at("body").as_string());
  ASSERT_TRUE(reason.starts_with("message ")) << reason;
  const std::string too_long = reason.substr(8, reason.find(' ', 8) - 8);
  EXPECT_EQ(code(page_behind(too_long)), 200);
  EXPECT_NE(hash_in(page_behind(too_long)), too_long);
}

TEST_F(FastLaneTest, BoundsThePagesOfABatchTogether) {
  const test::TestAccount plain(0x03, 2);
  for (int i = 0; i < 60; ++i) {
    world.call(0, "store", plain.store(std::to_string(i) + std::string(1'000, 'x'), world.now_ms));
  }
  const json::object one = {{"method", "retrieve"}, {"params", retrieve(plain)}};
  ask("batch", {{"requests", json::array{one, one}}});
  const json::object both = answer();
  ASSERT_EQ(code(both), 200);
  for (const json::value& page : both.at("body").as_object().at("results").as_array()) {
    EXPECT_EQ(page.at("code").as_int64(), 200);
    EXPECT_FALSE(page.at("body").as_object().at("messages").as_array().empty());
  }
}

TEST_F(FastLaneTest, RefusesASizeThatIsNoNumber) {
  const test::TestAccount account(0x05, 1);
  json::object request = retrieve(account);
  request["max_size"] = "abc";
  ask("retrieve", request);
  const json::object refused = answer();
  EXPECT_EQ(code(refused), 400);
  EXPECT_NE(refused.at("body").as_string().find("max_size"), json::string::npos) << refused;
}

TEST_F(FastLaneTest, CountsWhatIsNoRequest) {
  deliver({});
  deliver(inner(1, 1, "not bt"));
  deliver(inner(1, 1, "d6:method4:infoe"));
  deliver(inner(4, 1, ""));
  deliver(inner(1, 1, "", 2));
  deliver(inner(1, 1, "", 1));
  std::vector<std::uint8_t> beyond = inner(1, 1, "de");
  store_be(beyond.data() + 2, beyond.size(), 2);
  deliver(beyond);
  EXPECT_EQ(lane.counters().malformed, 7U);
  deliver(inner(0, 1, ""));
  EXPECT_EQ(lane.counters().nothing, 1U);
  deliver(inner(2, 1, "x"));
  deliver(inner(3, 1, "x"));
  deliver(inner(1, 1, "x"), onion::PacketType::df);
  EXPECT_EQ(lane.counters().unserved, 3U);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(lane.counters().requests, 0U);
}

}  // namespace
}  // namespace allium::control
