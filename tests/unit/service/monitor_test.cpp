// SPDX-License-Identifier: Apache-2.0
#include "control/service/monitor.hpp"

#include <set>

#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "tests/unit/service/swarm_world.hpp"

namespace allium::control::test {
namespace {

namespace json = boost::json;

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() { seconds = static_cast<std::int64_t>(kStartMs / 1000); }

  [[nodiscard]] json::object request(const std::string& spaces, bool wants_data) const {
    json::object dict = {{"p", text_of(group.account())}, {"t", seconds}, {"d", wants_data}};
    json::array list;
    for (std::size_t at = 0; at < spaces.size();) {
      const std::size_t end = std::min(spaces.find(',', at), spaces.size());
      list.emplace_back(std::stoi(spaces.substr(at, end - at)));
      at = end + 1;
    }
    dict["n"] = std::move(list);
    dict["s"] = text_of(group.key().sign(bytes_of(
        "MONITOR" + group.hex() + std::to_string(seconds) + (wants_data ? "1" : "0") + spaces)));
    return dict;
  }

  json::object subscribe(const json::object& dict, ConnectionNumber connection = 1) {
    return parse_bt(monitor.subscribe(serialise_bt(dict), connection, kStartMs))->as_object();
  }

  void store(int space, std::uint64_t now_ms = kStartMs) {
    monitor.on_stored(group.account(),
                      {"hash", static_cast<Namespace>(space), kStartMs, kStartMs + 5, "data"},
                      now_ms);
  }

  SwarmWorld world{1};
  TestAccount group{3, 1};
  std::int64_t seconds = 0;
  std::vector<std::pair<ConnectionNumber, json::object>> pushed;
  std::set<ConnectionNumber> gone;
  Monitor monitor{world.node(0).store(), world.node(0).membership,
                  [this](ConnectionNumber connection, const std::string& payload) {
                    if (gone.contains(connection)) {
                      return false;
                    }
                    pushed.emplace_back(connection, parse_bt(payload)->as_object());
                    return true;
                  }};
};

TEST_F(MonitorTest, TellsOfMessagesInTheNamespacesThatWereAskedFor) {
  EXPECT_EQ(subscribe(request("-11,0,11", true)), (json::object{{"success", 1}}));
  store(11);
  store(12);
  ASSERT_EQ(pushed.size(), 1U);
  EXPECT_EQ(pushed[0].second, (json::object{{"@", text_of(group.account())},
                                            {"h", "hash"},
                                            {"n", 11},
                                            {"t", static_cast<std::int64_t>(kStartMs)},
                                            {"z", static_cast<std::int64_t>(kStartMs + 5)},
                                            {"~", "data"}}));
}

TEST_F(MonitorTest, LeavesTheDataOutUnlessAskedFor) {
  subscribe(request("11", false));
  store(11);
  EXPECT_FALSE(pushed.at(0).second.contains("~"));
}

TEST_F(MonitorTest, LastsSixtyFiveMinutes) {
  subscribe(request("11", false));
  store(11, kStartMs + kSubscriptionMs - 1);
  EXPECT_EQ(pushed.size(), 1U);
  store(11, kStartMs + kSubscriptionMs);
  EXPECT_EQ(pushed.size(), 1U);
  monitor.expire(kStartMs + kSubscriptionMs);
  EXPECT_EQ(monitor.subscriptions(), 0U);
}

TEST_F(MonitorTest, ForgetsConnectionsThatHaveGone) {
  subscribe(request("11", false), 1);
  subscribe(request("11", false), 2);
  EXPECT_EQ(monitor.subscriptions(), 2U);
  gone.insert(1);
  store(11);
  EXPECT_EQ(monitor.subscriptions(), 1U);
  EXPECT_EQ(pushed.at(0).first, 2U);
}

TEST_F(MonitorTest, CountsARenewalOnce) {
  subscribe(request("11", false));
  subscribe(request("11", true));
  EXPECT_EQ(monitor.subscriptions(), 1U);
  store(11);
  EXPECT_TRUE(pushed.at(0).second.contains("~")) << "the later one counts";
}

TEST_F(MonitorTest, TakesTheEdwardsKeyOfASessionAccount) {
  const TestAccount person(5, 2);
  json::object dict = {{"P", text_of(person.key().public_key())},
                       {"t", seconds},
                       {"d", 0},
                       {"n", json::array{0}},
                       {"s", text_of(person.key().sign(bytes_of("MONITOR" + person.hex() +
                                                                std::to_string(seconds) + "00")))}};
  EXPECT_EQ(subscribe(dict), (json::object{{"success", 1}}));
  monitor.on_stored(person.account(), {"hash", 0, kStartMs, kStartMs, ""}, kStartMs);
  EXPECT_EQ(pushed.size(), 1U);
}

TEST_F(MonitorTest, SaysWhatIsWrongByNumber) {
  const auto error = [this](const json::object& dict) {
    const json::object answer = subscribe(dict);
    const json::value* code = answer.if_contains("errcode");
    return code == nullptr ? 0 : static_cast<int>(code->as_int64());
  };
  const json::object good = request("11", false);
  const auto changed = [&good](std::string_view name, json::value value) {
    json::object dict = good;
    dict[name] = std::move(value);
    return dict;
  };
  EXPECT_EQ(error(good), 0);
  EXPECT_EQ(error(changed("s", "short")), 1);
  EXPECT_EQ(error(changed("T", json::string(36, 't'))), 1);
  EXPECT_EQ(error(changed("p", "short")), 2);
  EXPECT_EQ(error(changed("p", json::string(33, '\5'))), 2);
  EXPECT_EQ(error(changed("n", json::array{12, 11})), 3);
  EXPECT_EQ(error(changed("n", json::array{11, 11})), 3);
  EXPECT_EQ(error(changed("n", json::array{40'000})), 3);
  EXPECT_EQ(error(changed("n", json::array{})), 3);
  EXPECT_EQ(error(changed("t", seconds - 14 * 86'400 - 1)), 4);
  EXPECT_EQ(error(changed("t", seconds + 86'401)), 4);
  EXPECT_EQ(error(changed("n", json::array{12})), 5);
  EXPECT_EQ(error(changed("d", 1)), 5);
  world.add_node();
  world.assign({kNoSwarm, 7});
  EXPECT_EQ(error(good), 6);
}

TEST_F(MonitorTest, AnswersAListWithAListAndNonsenseWithOne) {
  const json::array list = {request("11", false), json::object{}};
  const json::array answers =
      parse_bt(monitor.subscribe(serialise_bt(list), 1, kStartMs))->as_array();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers[0].as_object().contains("success"));
  EXPECT_EQ(answers[1].as_object().at("errcode"), 2);
  for (const std::string_view nonsense : {"", "x", "i1e", "li1ee"}) {
    EXPECT_EQ(parse_bt(monitor.subscribe(nonsense, 1, kStartMs))->as_object().at("errcode"), 1);
  }
}

TEST_F(MonitorTest, BoundsWhatOneConnectionMayAskFor) {
  json::array list(kMonitorRequestsMax + 1, json::object{});
  EXPECT_TRUE(parse_bt(monitor.subscribe(serialise_bt(list), 1, kStartMs))->is_object());
}

}  // namespace
}  // namespace allium::control::test
