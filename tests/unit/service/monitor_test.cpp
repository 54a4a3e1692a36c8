// SPDX-License-Identifier: Apache-2.0
#include "control/service/monitor.hpp"

#include <algorithm>
#include <deque>

#include <gtest/gtest.h>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/omq/omq_message.hpp"
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

  /// Whatever is answered, once everything posted is done.
  std::string ask(std::string text, ConnectionNumber connection = 1,
                  std::uint64_t now_ms = kStartMs) {
    std::string answer;
    monitor.subscribe(std::move(text), {connection, kAddress}, now_ms,
                      [&answer](std::string given) { answer = std::move(given); });
    work();
    return answer;
  }

  json::object subscribe(const json::object& dict, ConnectionNumber connection = 1,
                         std::uint64_t now_ms = kStartMs) {
    return parse_bt(ask(serialise_bt(dict), connection, now_ms))->as_object();
  }

  void work() {
    while (!posted.empty()) {
      work_once();
    }
  }

  void work_once() {
    const auto what = std::move(posted.front());
    posted.pop_front();
    what();
  }

  /// By a subaccount of the group that may read.
  json::object request_of_member() {
    json::object dict = request("11", true);
    dict["s"] = text_of(
        member.key().sign(bytes_of("MONITOR" + group.hex() + std::to_string(seconds) + "111")));
    dict["T"] = text_of(token());
    dict["S"] = text_of(group.key().sign(token()));
    return dict;
  }

  [[nodiscard]] Token token() const {
    Token made{3, static_cast<std::uint8_t>(Access::read)};
    std::copy(member.key().public_key().begin(), member.key().public_key().end(), made.begin() + 4);
    return made;
  }

  void store(int space, std::uint64_t now_ms = kStartMs) {
    monitor.on_stored(group.account(),
                      {"hash", static_cast<Namespace>(space), kStartMs, kStartMs + 5, "data"},
                      now_ms);
  }

  static constexpr AddressBlock kAddress = 77;

  SwarmWorld world{1};
  TestAccount group{3, 1};
  TestAccount member{3, 9};
  std::int64_t seconds = 0;
  std::vector<std::pair<ConnectionNumber, json::object>> pushed;
  std::deque<std::function<void()>> posted;
  std::size_t may_ask_for = 100'000;
  Monitor monitor{{world.node(0).store(), world.node(0).membership,
                   [this](ConnectionNumber connection, const std::string& payload) {
                     pushed.emplace_back(connection, parse_bt(payload)->as_object());
                   },
                   [this](std::function<void()> what) { posted.push_back(std::move(what)); },
                   [this](const Subscriber&, std::size_t count) {
                     const bool may = count <= may_ask_for;
                     may_ask_for -= may ? count : 0;
                     return may;
                   }}};
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
  monitor.connection_closed(1);
  work();
  EXPECT_EQ(monitor.subscriptions(), 1U);
  store(11);
  ASSERT_EQ(pushed.size(), 1U);
  EXPECT_EQ(pushed.at(0).first, 2U);
  monitor.connection_closed(2);
  monitor.connection_closed(3);
  work();
  EXPECT_EQ(monitor.subscriptions(), 0U);
}

TEST_F(MonitorTest, CountsARenewalOnce) {
  subscribe(request("11", false));
  subscribe(request("11", true));
  EXPECT_EQ(monitor.subscriptions(), 1U);
  store(11);
  EXPECT_TRUE(pushed.at(0).second.contains("~"));
}

TEST_F(MonitorTest, AddsWhatIsAskedForLaterToWhatWasAskedForBefore) {
  subscribe(request("11", true));
  subscribe(request("12", false), 1, kStartMs + 1000);
  EXPECT_EQ(monitor.subscriptions(), 1U);
  store(11, kStartMs + kSubscriptionMs + 999);
  store(12, kStartMs + kSubscriptionMs + 999);
  ASSERT_EQ(pushed.size(), 2U);
  EXPECT_TRUE(pushed[0].second.contains("~"));
  EXPECT_TRUE(pushed[1].second.contains("~"));
}

TEST_F(MonitorTest, AddsNothingToWhatHasRunOut) {
  subscribe(request("11", true));
  subscribe(request("12", false), 1, kStartMs + kSubscriptionMs);
  store(11, kStartMs + kSubscriptionMs);
  store(12, kStartMs + kSubscriptionMs);
  ASSERT_EQ(pushed.size(), 1U);
  EXPECT_EQ(pushed[0].second.at("n"), 12);
  EXPECT_FALSE(pushed[0].second.contains("~"));
}

TEST_F(MonitorTest, TellsASubaccountNothingFromTheMomentItIsRevoked) {
  ASSERT_EQ(subscribe(request_of_member()), (json::object{{"success", 1}}));
  store(11);
  EXPECT_EQ(pushed.size(), 1U);

  world.node(0).store().revoke(group.account(), {token()}, kStartMs, kStartMs, [](const auto&) {});
  store(11);
  EXPECT_EQ(pushed.size(), 1U);

  subscribe(request("11", false));  // the account's own key, by the same connection
  store(11);
  ASSERT_EQ(pushed.size(), 2U);
  EXPECT_FALSE(pushed[1].second.contains("~")) << "what the revoked one asked for does not count";
}

TEST_F(MonitorTest, TellsAConnectionOnceOfAMessageThatItMayKnowByTwoRights) {
  subscribe(request_of_member());
  subscribe(request("11", false));
  EXPECT_EQ(monitor.subscriptions(), 2U);
  store(11);
  ASSERT_EQ(pushed.size(), 1U);
  EXPECT_TRUE(pushed[0].second.contains("~"));
  monitor.expire(kStartMs + kSubscriptionMs);
  EXPECT_EQ(monitor.subscriptions(), 0U);
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

TEST_F(MonitorTest, TellsWhoAsksAtTheWrongSwarmOfTheRightOne) {
  world.add_node();
  world.assign({kNoSwarm, 7});
  const json::object answer = subscribe(request("11", false));
  EXPECT_EQ(answer.at("errcode"), 6);
  EXPECT_EQ(answer.at("swarm"), "7");
  const json::array& snodes = answer.at("snodes").as_array();
  ASSERT_EQ(snodes.size(), 1U);
  EXPECT_EQ(snodes[0].at("pubkey_ed25519").as_string(), to_hex(world.node(1).key()));
  EXPECT_EQ(snodes[0].at("port_omq").as_int64(),
            world.node(0).membership.nodes()->find_ed25519(world.node(1).key())->omq_port);
}

TEST_F(MonitorTest, KeepsTheAnswerToAListWithinAMessageHoweverManyAskAtTheWrongSwarm) {
  constexpr std::size_t kBareBytes = 80;  // errcode and error alone
  static_assert(kMonitorSwarmsBytesMax + kMonitorRequestsMax * kBareBytes < kOmqMessageBytesMax);
  while (world.size() < 11) {
    world.add_node();
  }
  std::vector<SwarmId> swarms(world.size(), 7);
  swarms.front() = kNoSwarm;
  world.assign(swarms);
  const json::array list(2'000, request("11", false));
  const std::string text = ask(serialise_bt(list));
  const json::array answers = parse_bt(text)->as_array();
  ASSERT_EQ(answers.size(), list.size());
  EXPECT_EQ(answers.front().at("snodes").as_array().size(), 10U);
  EXPECT_EQ(answers.back().at("errcode"), 6);
  EXPECT_FALSE(answers.back().as_object().contains("snodes"));
  EXPECT_LT(serialise_bt(answers.back()).size(), kBareBytes);
  EXPECT_LT(text.size(), kMonitorSwarmsBytesMax + serialise_bt(answers.front()).size() +
                             list.size() * kBareBytes);
}

TEST_F(MonitorTest, AnswersAListWithAListAndNonsenseWithOne) {
  const json::array list = {request("11", false), json::object{}};
  const json::array answers = parse_bt(ask(serialise_bt(list)))->as_array();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_TRUE(answers[0].as_object().contains("success"));
  EXPECT_EQ(answers[1].as_object().at("errcode"), 2);
  for (const char* nonsense : {"", "x", "i1e", "li1ee", "d", "dex", "ld1:aee"}) {
    const auto answer = parse_bt(ask(nonsense));
    ASSERT_TRUE(answer && answer->is_object()) << nonsense;
    EXPECT_EQ(answer->as_object().at("errcode"), 1) << nonsense;
  }
}

TEST_F(MonitorTest, AnswersThirtyThousandRequestsInSlices) {
  json::array list(kMonitorRequestsMax, json::object{});
  list.front() = list.back() = request("11", false);
  std::string answer;
  monitor.subscribe(serialise_bt(list), {1, kAddress}, kStartMs,
                    [&answer](std::string given) { answer = std::move(given); });
  EXPECT_TRUE(answer.empty());

  // Another one does not wait for them.
  EXPECT_EQ(parse_bt(serialise_bt(list))->as_array().size(), kMonitorRequestsMax);
  std::string other;
  monitor.subscribe(serialise_bt(request("12", false)), {2, kAddress}, kStartMs,
                    [&other](std::string given) { other = std::move(given); });
  EXPECT_EQ(other, "d7:successi1ee");

  std::size_t slices = 1;
  for (; answer.empty(); ++slices) {
    ASSERT_FALSE(posted.empty());
    work_once();
  }
  EXPECT_EQ(slices, (kMonitorRequestsMax + kMonitorSliceMax - 1) / kMonitorSliceMax);
  const json::array answers = parse_bt(answer)->as_array();
  ASSERT_EQ(answers.size(), kMonitorRequestsMax);
  EXPECT_TRUE(answers.front().as_object().contains("success"));
  EXPECT_EQ(answers[1].as_object().at("errcode"), 2);
  EXPECT_TRUE(answers.back().as_object().contains("success"));
}

TEST_F(MonitorTest, AnswersNobodyWhoHasGoneMeanwhile) {
  json::array list(kMonitorSliceMax + 1, request("11", false));
  monitor.subscribe(serialise_bt(list), {1, kAddress}, kStartMs,
                    [](const std::string&) { FAIL() << "he has gone"; });
  monitor.connection_closed(1);
  work();
  EXPECT_EQ(monitor.subscriptions(), 0U);
}

TEST_F(MonitorTest, SaysSoWhenAnAddressAsksForTooMuch) {
  const json::array list(kMonitorSliceMax + 1, json::object{});
  std::size_t answers = 0;
  for (std::size_t i = 0; i < kMonitorQueuePerAddressMax; ++i) {
    monitor.subscribe(serialise_bt(list), {1, kAddress}, kStartMs,
                      [&answers](const std::string&) { ++answers; });
  }
  std::string refused;
  monitor.subscribe(serialise_bt(list), {1, kAddress}, kStartMs,
                    [&refused](std::string given) { refused = std::move(given); });
  EXPECT_EQ(parse_bt(refused)->as_object().at("errcode"), 7);
  work();
  EXPECT_EQ(answers, kMonitorQueuePerAddressMax);

  may_ask_for = 1;
  EXPECT_EQ(subscribe(request("11", false)), (json::object{{"success", 1}}));
  EXPECT_EQ(subscribe(request("11", false)).at("errcode"), 7);
}

TEST_F(MonitorTest, BoundsWhatOneConnectionMayAskFor) {
  json::array list(kMonitorRequestsMax + 1, json::object{});
  const json::object answer = parse_bt(ask(serialise_bt(list)))->as_object();
  EXPECT_EQ(answer.at("errcode"), 1);
  EXPECT_NE(answer.at("error").as_string().find("more than 30000 accounts"), json::string::npos)
      << answer.at("error");
}

}  // namespace
}  // namespace allium::control::test
