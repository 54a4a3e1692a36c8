// SPDX-License-Identifier: Apache-2.0

// A relay that works in bursts and its twin that takes the same packets one by one, on the traffic of a whole network
// (batch_differential_test.cpp makes its packets by hand): same bytes, verdicts, targets, deliveries and counters.

#include <algorithm>
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"
#include "tests/property/onion_world.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

constexpr std::size_t kPackets = 10'000;

struct Input {
  onion::Endpoint source;
  Buffer datagram;
};

/// Everything that arrives at the relay under test while a world is in use: valid packets of all types.
std::vector<Input> gather(World& world) {
  std::vector<Input> found;
  const Watch watch = [&](std::size_t from, std::size_t to, Buffer& datagram) {
    if (to == kRelayUnderTest) {
      found.push_back({from == kClient ? world.client : world.relay(from).endpoint(), datagram});
    }
  };
  constexpr std::array<Service, 5> kServices = {Service::storage, Service::bridge, Service::echo,
                                                Service::drop, static_cast<Service>(9)};
  const std::array<std::vector<std::size_t>, 5> routes = {{{kRelayUnderTest},
                                                           {kRelayUnderTest, 2},
                                                           {0, kRelayUnderTest},
                                                           {0, kRelayUnderTest, 2},
                                                           {2, kRelayUnderTest, 0}}};
  std::uint64_t seq = 1;
  for (std::size_t round = 0; round < 12; ++round) {
    world.client = client_v4(static_cast<std::uint8_t>(round + 1));
    for (const auto& relays : routes) {
      for (const Service service : kServices) {
        const ClientPath path = world.make_path(relays, service);
        for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
          for (int i = 0; i < 3; ++i) {
            world.travel(kClient, relays.front(), world.echo_packet(path, packet_class, seq++),
                         watch);
          }
        }
      }
      world.client =
          round % 3 == 0 ? client_v6(1, 1, static_cast<std::uint8_t>(round + 1)) : world.client;
      for (const PacketType type : {PacketType::s0, PacketType::s1}) {
        const onion::SetupPacket setup =
            world.setup_packet(relays, type, kServices[round % kServices.size()]);
        const Bytes view = setup.datagram.view();
        world.travel(kClient, relays.front(), Buffer(view.begin(), view.end()), watch);
      }
      world.client = client_v4(static_cast<std::uint8_t>(round + 1));
    }
  }
  return found;
}

/// Good, bad and duplicate ones, in an order that a seed fixes.
std::vector<Input> mix(const std::vector<Input>& good, std::uint64_t seed) {
  SeededRandom random(seed);
  std::vector<Input> mixed;
  std::size_t next = 0;
  while (mixed.size() < kPackets) {
    Input input = good[next % good.size()];
    switch (random.below(8)) {
      case 0:
        flip_bit(input.datagram, random.below(input.datagram.size() * 8));
        break;
      case 1:
        input.datagram.resize(random.below(input.datagram.size()));
        break;
      case 2:
        input.datagram = random.bytes(input.datagram.size());
        break;
      case 3:
        input.source = client_v6(7, 7, static_cast<std::uint8_t>(random.below(40)));
        break;
      case 4:  // a duplicate, near or far behind
        if (!mixed.empty()) {
          const std::size_t back = random.below(random.one_in(2) ? 8 : 2000) + 1;
          input = mixed[mixed.size() - std::min(back, mixed.size())];
        }
        break;
      default:
        ++next;
        break;
    }
    mixed.push_back(std::move(input));
  }
  return mixed;
}

Outcome outcome_of(const onion::Burst& burst, std::size_t lane) {
  Outcome outcome;
  outcome.verdict = burst.verdict[lane];
  outcome.outgoing = burst.outgoing[lane];
  if (outcome.outgoing != onion::Outgoing::none) {
    outcome.target = burst.target[lane];
    outcome.slot = burst.slot[lane];
    outcome.datagram.assign(burst.data[lane], burst.data[lane] + burst.bytes[lane]);
  }
  return outcome;
}

bool are_same(const Outcome& left, const Outcome& right) {
  return left.verdict == right.verdict && left.outgoing == right.outgoing &&
         left.slot == right.slot && left.target.to_relay == right.target.to_relay &&
         left.target.relay_id == right.target.relay_id &&
         left.target.endpoint == right.target.endpoint && left.datagram == right.datagram;
}

bool are_same(const DeliveredData& left, const DeliveredData& right) {
  return left.service == right.service && left.type == right.type && left.t == right.t &&
         left.data == right.data;
}

using Counters = std::array<std::uint64_t, onion::kVerdictCount>;

struct BurstCase {
  std::uint64_t seed;
  std::size_t burst_max;  ///< bursts have 1 to so many packets
  bool cookie_required;
};

class BurstDifferential : public testing::TestWithParam<BurstCase> {};

TEST_P(BurstDifferential, GivesTheSameBytesAndCountersAsOneByOne) {
  WorldOptions options;
  options.seed = GetParam().seed;
  World recorder(options);
  const std::vector<Input> inputs = mix(gather(recorder), GetParam().seed);
  options.cookie_required = GetParam().cookie_required;
  World one_by_one(options);
  World in_bursts(options);
  SeededRandom random(GetParam().seed);
  std::array<std::array<std::uint8_t, onion::kDatagramBytesMax>, onion::kBurstMax> room{};
  Counters counters{};
  Counters burst_counters{};

  for (std::size_t first = 0; first < inputs.size();) {
    onion::Burst burst;
    burst.count =
        std::min<std::size_t>(1 + random.below(GetParam().burst_max), inputs.size() - first);
    std::vector<Outcome> expected;
    for (std::size_t lane = 0; lane < burst.count; ++lane) {
      const Input& input = inputs[first + lane];
      std::copy(input.datagram.begin(), input.datagram.end(), room[lane].begin());
      burst.data[lane] = room[lane].data();
      burst.bytes[lane] = static_cast<std::uint16_t>(input.datagram.size());
      burst.source[lane] = input.source;
      expected.push_back(one_by_one.relay(kRelayUnderTest)
                             .run(0, input.source, input.datagram, one_by_one.now_ms));
    }
    in_bursts.relay(kRelayUnderTest).run_burst(0, burst, in_bursts.now_ms);
    for (std::size_t lane = 0; lane < burst.count; ++lane) {
      const Outcome got = outcome_of(burst, lane);
      ++counters[static_cast<std::size_t>(expected[lane].verdict)];
      ++burst_counters[static_cast<std::size_t>(got.verdict)];
      ASSERT_TRUE(are_same(expected[lane], got))
          << "packet " << first + lane << ", lane " << lane << " of " << burst.count << ": "
          << onion::verdict_name(expected[lane].verdict) << " alone, "
          << onion::verdict_name(got.verdict) << " in a burst";
    }
    first += burst.count;
    // Over the 16 s in which the packets' slots are taken.
    const std::uint64_t step_ms = first % 7 == 0 ? 5 : 0;
    one_by_one.now_ms += step_ms;
    in_bursts.now_ms += step_ms;
  }

  EXPECT_EQ(counters, burst_counters);
  const auto& alone = one_by_one.relay(kRelayUnderTest).delivered;
  const auto& together = in_bursts.relay(kRelayUnderTest).delivered;
  ASSERT_EQ(alone.size(), together.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(are_same(alone[i], together[i])) << "delivery " << i;
  }
  // The mix is one: much goes on, much is refused, and for many reasons.
  EXPECT_GT(counters[static_cast<std::size_t>(onion::Verdict::forward)], kPackets / 20);
  EXPECT_GT(counters[static_cast<std::size_t>(onion::Verdict::replay)], kPackets / 50);
  EXPECT_GE(std::count_if(counters.begin(), counters.end(), [](auto count) { return count > 0; }),
            10);
}

INSTANTIATE_TEST_SUITE_P(Sizes, BurstDifferential,
                         testing::Values(BurstCase{1, 32, false}, BurstCase{2, 32, true},
                                         BurstCase{3, 2, false}, BurstCase{4, 7, false},
                                         BurstCase{5, 16, false}, BurstCase{6, 32, false}),
                         [](const auto& param) {
                           return "Seed" + std::to_string(param.param.seed) + "UpTo" +
                                  std::to_string(param.param.burst_max);
                         });

TEST(BurstDifferential, SeesARelayThatIsNotTheSame) {
  WorldOptions options;
  World recorder(options);
  const std::vector<Input> inputs = gather(recorder);
  World right(options);
  options.flaw = Flaw::header_not_masked;
  World wrong(options);
  std::size_t different = 0;

  for (const Input& input : inputs) {
    const auto run = [&](World& world) {
      return world.relay(kRelayUnderTest).run(0, input.source, input.datagram, world.now_ms);
    };
    different += are_same(run(right), run(wrong)) ? 0U : 1U;
  }

  EXPECT_GT(different, inputs.size() / 10);
}

}  // namespace
}  // namespace allium::property
