// SPDX-License-Identifier: Apache-2.0
// The whole client over real relays in memory: ping and echo in every kind of weather.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "crypto_accel/base/random.hpp"
#include "fake_network.hpp"
#include "tools/client/echo.hpp"
#include "tools/client/path_keeper.hpp"
#include "tools/client/ping.hpp"

namespace allium::client {
namespace {

// The middle of an epoch and of an hour.
constexpr std::uint64_t kStartMs = (600ULL * 3'000'012 + 100) * 1000;

struct Listener {
  std::vector<std::string> lines;
  Talk talk;

  explicit Listener(bool traced = false)
      : talk([this](const std::string& line) { lines.push_back(line); }, traced) {}

  [[nodiscard]] bool heard(const std::string& part) const {
    return std::any_of(lines.begin(), lines.end(), [&part](const std::string& line) {
      return line.find(part) != std::string::npos;
    });
  }
};

std::vector<std::uint8_t> make_file(std::size_t byte_count) {
  std::vector<std::uint8_t> file(byte_count);
  system_random()(file);
  return file;
}

PingOptions ping_over(std::vector<std::string> names) {
  PingOptions options;
  options.path.names = std::move(names);
  return options;
}

EchoOptions echo_over(std::vector<std::string> names) {
  EchoOptions options;
  options.path.names = std::move(names);
  return options;
}

struct PingCase {
  std::size_t hop_count;
  onion::PacketClass packet_class;
  bool ipv6;
};

class PingPaths : public testing::TestWithParam<PingCase> {};

TEST_P(PingPaths, EveryPacketComesBack) {
  FakeNetwork network(5, kStartMs, GetParam().ipv6);
  Listener listener;
  PingOptions options;
  options.path.hop_count = GetParam().hop_count;
  options.packet_class = GetParam().packet_class;
  std::vector<std::uint64_t> numbers;
  const auto result =
      ping(network, network, options, system_random(), listener.talk,
           [&numbers](const PingAnswer& answer) { numbers.push_back(answer.number); });
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->sent, 5U);
  EXPECT_EQ(result->received, 5U);
  EXPECT_EQ(result->paths_opened, 1U);
  EXPECT_EQ(result->hops.size(), GetParam().hop_count);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 2, 3, 4, 5}));
  // Out and back over n links of half a millisecond.
  EXPECT_EQ(spread_of(result->round_trips_us).min, GetParam().hop_count * 1000);
  const std::string& entry = result->hops.front();
  EXPECT_EQ(network.verdicts(entry, onion::Verdict::cookie), 1U);  // challenged once
}

INSTANTIATE_TEST_SUITE_P(
    Ways, PingPaths,
    testing::Values(
        PingCase{1, onion::PacketClass::d, false}, PingCase{2, onion::PacketClass::d, false},
        PingCase{3, onion::PacketClass::d, false}, PingCase{4, onion::PacketClass::d, false},
        PingCase{1, onion::PacketClass::v, false}, PingCase{2, onion::PacketClass::v, false},
        PingCase{3, onion::PacketClass::v, false}, PingCase{1, onion::PacketClass::d, true},
        PingCase{3, onion::PacketClass::v, true}),
    [](const testing::TestParamInfo<PingCase>& tested) {
      return std::string(tested.param.packet_class == onion::PacketClass::d ? "D" : "V") +
             std::to_string(tested.param.hop_count) + (tested.param.ipv6 ? "v6" : "v4");
    });

TEST(Ping, TraceNamesTimesOfEachHop) {
  FakeNetwork network(3, kStartMs);
  Listener listener(true);
  PingOptions options = ping_over({"n2", "n1", "n3"});
  options.count = 1;
  const auto result = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_TRUE(listener.heard("hop 1 n2 ok 1.000 ms"));
  EXPECT_TRUE(listener.heard("hop 2 n1 ok 2.000 ms"));
  EXPECT_TRUE(listener.heard("hop 3 n3 ok 3.000 ms"));
  EXPECT_TRUE(listener.heard("cookie challenge of n2"));
}

TEST(Ping, LossIsCountedAndNoError) {
  FakeNetwork network(3, kStartMs);
  network.weather.loss = 0.05;
  Listener listener;
  PingOptions options = ping_over({"n1", "n2", "n3"});
  options.count = 200;
  options.interval_ms = 10;
  const auto result = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->sent, 200U);
  EXPECT_LT(result->received, 190U);
  EXPECT_GT(result->received, 100U);
  EXPECT_EQ(result->paths_opened, 1U);
}

TEST(Ping, ADeadHopIsNamedWhenOpening) {
  const std::vector<std::string> path = {"n1", "n2", "n3", "n4"};
  for (std::size_t dead = 0; dead < path.size(); ++dead) {
    FakeNetwork network(4, kStartMs);
    network.set_down(path[dead], 0, kNever);
    Listener listener;
    const auto result =
        ping(network, network, ping_over(path), system_random(), listener.talk, nullptr);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::timeout);
    EXPECT_NE(result.error().text.find("hop " + std::to_string(dead + 1) + " (" + path[dead] +
                                       ") does not answer"),
              std::string::npos)
        << result.error().text;
  }
}

TEST(Ping, BadPathsAreRefused) {
  FakeNetwork network(3, kStartMs);
  Listener listener;
  const auto unknown =
      ping(network, network, ping_over({"n1", "n9"}), system_random(), listener.talk, nullptr);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::not_found);
  const auto twice = ping(network, network, ping_over({"n1", "n2", "n1"}), system_random(),
                          listener.talk, nullptr);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Errc::out_of_range);
  PingOptions options;
  options.path.hop_count = 4;
  const auto many = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, Errc::not_found);
  EXPECT_EQ(network.client_datagrams(), 0U);
}

TEST(Ping, ChangedAndForeignDatagramsAreIgnored) {
  FakeNetwork network(3, kStartMs);
  std::size_t seen = 0;
  network.on_way_to_client = [&seen](std::vector<std::uint8_t>& datagram) {
    ++seen;
    if ((datagram[0] & 15) == 2 && seen % 2 == 0) {
      datagram[seen % 3 == 0 ? datagram.size() - 1 : 4] ^= 1;
    }
  };
  Listener listener;
  PingOptions options = ping_over({"n1", "n2", "n3"});
  options.count = 20;
  const auto result = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->received, 10U);
  EXPECT_EQ(result->ignored.client_tag, 10U);
}

TEST(Ping, AnInterruptEndsItWithWhatThereIs) {
  FakeNetwork network(3, kStartMs);
  network.interrupt_at_us = 2'100'000;
  Listener listener;
  PingOptions options = ping_over({"n1"});
  options.count = 1000;
  const auto result = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->interrupted);
  EXPECT_GT(result->received, 3U);
  EXPECT_LT(result->sent, 10U);
}

TEST(Echo, AFileComesBackOverOneToFourHops) {
  for (std::size_t hops = 1; hops <= 4; ++hops) {
    FakeNetwork network(4, kStartMs);
    Listener listener;
    EchoOptions options;
    options.path.hop_count = hops;
    const auto file = make_file(200'000);
    const auto result = echo_file(network, network, options, file, system_random(), listener.talk);
    ASSERT_TRUE(result) << result.error().text;
    EXPECT_TRUE(result->complete);
    EXPECT_EQ(result->received, file);
    EXPECT_EQ(result->paths_opened, 1U);
    EXPECT_EQ(result->counts.retransmitted, 0U);
  }
}

TEST(Echo, SurvivesLossRepetitionAndReordering) {
  FakeNetwork network(3, kStartMs);
  network.weather = {.loss = 0.02, .repeat = 0.05, .delay_us = 500, .jitter_us = 1500};
  Listener listener;
  const auto file = make_file(500'000);
  const auto result = echo_file(network, network, echo_over({"n3", "n1", "n2"}), file,
                                system_random(), listener.talk);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->received, file);
  EXPECT_EQ(result->paths_opened, 1U);
  EXPECT_GT(result->counts.retransmitted, 20U);
  // What links repeat, relays drop: nothing reaches the client twice but over its own link.
  EXPECT_GT(network.verdicts("n3", onion::Verdict::replay), 0U);
}

TEST(Echo, SurvivesAHopThatIsDownForAWhileOnOnePath) {
  for (const std::string down : {"n1", "n2", "n3"}) {
    FakeNetwork network(3, kStartMs);
    network.set_down(down, 1'200'000, 26'000'000);
    network.weather.delay_us = 5000;
    Listener listener;
    const auto file = make_file(3'000'000);
    const auto result = echo_file(network, network, echo_over({"n1", "n2", "n3"}), file,
                                  system_random(), listener.talk);
    ASSERT_TRUE(result) << result.error().text;
    EXPECT_EQ(result->received, file);
    EXPECT_EQ(result->paths_opened, 1U);
    EXPECT_EQ(result->counts.stalls, 1U);
    EXPECT_GT(result->stalled_us, 20'000'000U);
    EXPECT_TRUE(listener.heard("path 1 stalls"));
    EXPECT_TRUE(listener.heard("(" + down + ") does not answer"));
    EXPECT_TRUE(listener.heard("path 1 goes on after"));
  }
}

TEST(Echo, GivesUpOnAHopThatStaysDownAndNamesIt) {
  FakeNetwork network(3, kStartMs);
  network.set_down("n2", 1'200'000, kNever);
  network.weather.delay_us = 5000;
  Listener listener;
  EchoOptions options = echo_over({"n1", "n2", "n3"});
  options.give_up_s = 40;
  const auto result =
      echo_file(network, network, options, make_file(3'000'000), system_random(), listener.talk);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::timeout);
  EXPECT_NE(result.error().text.find("hop 2 (n2) does not answer"), std::string::npos)
      << result.error().text;
}

TEST(PathLife, EndsAsTheSpecSays) {
  const std::uint64_t epoch = 3'000'012;
  EXPECT_EQ(path_end_ms((600 * epoch + 100) * 1000), (600 * (epoch + 2) - 16) * 1000);
  EXPECT_EQ(path_end_ms((600 * epoch + 599) * 1000), (600 * (epoch + 2) - 16) * 1000);
  // In the first two seconds a relay may still be in the epoch before.
  EXPECT_EQ(path_end_ms((600 * epoch + 1) * 1000), (600 * (epoch + 1) - 16) * 1000);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t sent = (600 * epoch + 100) * 1000;
    const std::uint64_t life = path_end_ms(sent) - sent;
    const std::uint64_t renewal = path_renewal_ms(sent, system_random()) - sent;
    EXPECT_GE(renewal, life / 2);
    EXPECT_LE(renewal, life * 8 / 10);
    const std::int64_t phase = random_phase_ms(system_random());
    EXPECT_LE(phase, kPhaseMsMax);
    EXPECT_GE(phase, -kPhaseMsMax);
  }
}

TEST(PathLife, PathsAreRenewedBeforeTheyEndAndNothingIsLost) {
  FakeNetwork network(4, kStartMs);
  Listener listener;
  PingOptions options;  // by chance: the entry must stay
  options.count = 120;
  options.interval_ms = 30'000;  // an hour
  const auto result = ping(network, network, options, system_random(), listener.talk, nullptr);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->received, 120U);
  EXPECT_GE(result->paths_opened, 4U);  // each is used for 5 to 16 minutes
  EXPECT_LE(result->paths_opened, 13U);
}

TEST(PathLife, ARenewalThatFailsIsTriedAgainWhileTheOldPathIsUsed) {
  FakeNetwork network(3, kStartMs);
  Listener listener;
  EXPECT_TRUE(network.load());
  PathKeeper keeper(network, ping_over({"n1", "n2"}).path, system_random(), listener.talk);
  ASSERT_TRUE(keeper.start(network.now()));
  std::array<std::uint8_t, 1232> buffer;
  const auto turn_until = [&](std::uint64_t tick_us) {
    while (network.now().tick_us < tick_us) {
      keeper.on_time(network, network.now());
      const std::uint64_t deadline = std::min(keeper.deadline_us(network.now()), tick_us);
      if (const auto arrival = network.receive(buffer, deadline)) {
        static_cast<void>(keeper.on_datagram(
            network, arrival->source, Bytes(buffer).first(arrival->byte_count), network.now()));
      }
    }
  };
  turn_until(2'000'000);
  ASSERT_NE(keeper.current(), nullptr);
  const std::uint64_t renewal_us =
      1'000'000 + (keeper.current()->renewal_ms() - kStartMs - 1000) * 1000;
  network.set_down("n2", renewal_us - 1'000'000, renewal_us + 20'000'000);
  turn_until(renewal_us + 15'000'000);
  EXPECT_EQ(keeper.paths_opened(), 1U);
  ASSERT_NE(keeper.current(), nullptr);
  EXPECT_TRUE(listener.heard("cannot open the next path yet"));
  turn_until(renewal_us + 60'000'000);
  EXPECT_EQ(keeper.paths_opened(), 2U);
}

}  // namespace
}  // namespace allium::client
