// SPDX-License-Identifier: Apache-2.0
// The order in which a burst leaves: every order as likely, by one documented series of draws; and that engines
// send in it.
#include "dataplane/engine/send_order.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "ring_world.hpp"
#include "test_client.hpp"
#include "tests/property/seeded_random.hpp"

namespace allium::dataplane {
namespace {

using onion::PacketClass;
using onion::Service;
using property::SeededRandom;

using Order = std::vector<std::size_t>;

Order first_order(std::size_t count) {
  Order order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

Order permuted(std::size_t count, const Random& random) {
  Order order = first_order(count);
  permute_places(count, random,
                 [&](std::size_t one, std::size_t other) { std::swap(order[one], order[other]); });
  return order;
}

// Hands out what it was given, and counts.
struct GivenBytes {
  std::vector<std::uint8_t> bytes;
  std::size_t used = 0;
  std::vector<std::size_t> draws;

  [[nodiscard]] Random source() noexcept {
    return {this, [](void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
              auto& given = *static_cast<GivenBytes*>(self);
              given.draws.push_back(byte_count);
              for (std::size_t i = 0; i < byte_count; ++i) {
                target[i] = given.used < given.bytes.size() ? given.bytes[given.used] : 0;
                ++given.used;
              }
            }};
  }
};

// How far the counts are from even, in standard deviations of chi-square: beyond 8 is no chance.
double deviations(const std::vector<std::uint64_t>& counts, double freedom) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  const double expected = total / static_cast<double>(counts.size());
  double chi_square = 0;
  for (const std::uint64_t count : counts) {
    const double off = static_cast<double>(count) - expected;
    chi_square += off * off / expected;
  }
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

constexpr double kNoChance = 8;

template <typename Permute>
double unevenness_of_orders(std::size_t count, std::size_t rounds, Permute&& permute) {
  std::map<Order, std::uint64_t> seen;
  Order order = first_order(count);
  do {
    seen[order] = 0;
  } while (std::next_permutation(order.begin(), order.end()));
  for (std::size_t round = 0; round < rounds; ++round) {
    ++seen.at(permute());
  }
  std::vector<std::uint64_t> counts;
  for (const auto& [one, times] : seen) {
    counts.push_back(times);
  }
  return deviations(counts, static_cast<double>(counts.size() - 1));
}

// counts[place * count + who]: rows and columns have fixed sums, hence the freedom.
double unevenness_of_places(const std::vector<std::uint64_t>& counts, std::size_t count) {
  return deviations(counts, static_cast<double>((count - 1) * (count - 1)));
}

TEST(SendOrder, EveryOrderIsAsLikely) {
  for (std::size_t count = 2; count <= 5; ++count) {
    SeededRandom random(count);
    const double off =
        unevenness_of_orders(count, 200'000, [&] { return permuted(count, random.source()); });
    EXPECT_LT(std::abs(off), kNoChance) << count;
  }
}

TEST(SendOrder, APermutationWithBiasIsSeen) {
  SeededRandom random(1);
  const double off = unevenness_of_orders(4, 200'000, [&] {
    Order order = first_order(4);
    for (std::size_t place = 0; place < order.size(); ++place) {
      std::swap(order[place], order[random.below(order.size())]);
    }
    return order;
  });
  EXPECT_GT(off, kNoChance);
}

TEST(SendOrder, EveryPacketGoesToEveryPlaceOfAFullBurst) {
  constexpr std::size_t kCount = onion::kBurstMax;
  SeededRandom random(32);
  std::vector<std::uint64_t> counts(kCount * kCount);
  for (int round = 0; round < 50'000; ++round) {
    Order order = permuted(kCount, random.source());
    for (std::size_t place = 0; place < kCount; ++place) {
      ++counts[place * kCount + order[place]];
    }
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order, first_order(kCount));
  }
  EXPECT_LT(std::abs(unevenness_of_places(counts, kCount)), kNoChance);
}

TEST(SendOrder, DrawsOnceTwoBytesAPlaceTheLastPlaceFirst) {
  // 0x8000 of 65536 is the middle: place 3 with 2 of 0 .. 3; 0xffff: place 2 with itself; 1: place 1 with 0.
  GivenBytes given{{0x00, 0x80, 0xff, 0xff, 0x01, 0x00}, 0, {}};
  EXPECT_EQ(permuted(4, given.source()), (Order{1, 0, 3, 2}));
  EXPECT_EQ(given.draws, (std::vector<std::size_t>{6}));
}

TEST(SendOrder, RefusesANumberThatWouldMakeAPlaceLikelier) {
  // 65536 = 3 * 21845 + 1: of the numbers for three places, 0 is one too many.
  GivenBytes given{{0x00, 0x00, 0xff, 0xff, 0xff, 0xff}, 0, {}};
  EXPECT_EQ(permuted(3, given.source()), (Order{0, 1, 2}));
  EXPECT_EQ(given.draws, (std::vector<std::size_t>{4, 2}));
}

TEST(SendOrder, OneSeedGivesOneSeriesOfOrders) {
  SeededRandom one(7);
  SeededRandom same(7);
  SeededRandom other(8);
  const Order order = permuted(32, one.source());
  EXPECT_EQ(order, permuted(32, same.source()));
  EXPECT_NE(order, permuted(32, other.source()));
}

TEST(SendOrder, ALonePacketDrawsNothing) {
  GivenBytes given;
  EXPECT_EQ(permuted(1, given.source()), Order{0});
  EXPECT_EQ(permuted(0, given.source()), Order{});
  EXPECT_TRUE(given.draws.empty());
}

TEST(SendOrderDeathTest, ABrokenGeneratorEndsTheProcess) {
  GivenBytes zeros;
  EXPECT_DEATH(permuted(3, zeros.source()), "kRefusalsMax");
}

TEST(SendOrder, AnEngineSendsABurstInIt) {
  constexpr std::size_t kCount = onion::kBurstMax;
  constexpr std::size_t kRounds = 400;
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path({0}, Service::echo);
  ASSERT_TRUE(path);
  std::vector<std::uint64_t> counts(kCount * kCount);
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::uint64_t i = 0; i < kCount; ++i) {
      ASSERT_TRUE(world.send(0, client.echo(PacketClass::v, *path, round * kCount + i, {}).view()));
    }
    world.settle();
    const std::vector<Arrived> arrived = world.take_arrived();
    ASSERT_EQ(arrived.size(), kCount);
    Order order;
    for (const Arrived& one : arrived) {
      const auto packet = client.open(PacketClass::v, *path, one);
      ASSERT_TRUE(packet);
      ASSERT_EQ(packet->seq / kCount, round);
      ++counts[order.size() * kCount + packet->seq % kCount];
      order.push_back(packet->seq % kCount);
    }
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order, first_order(kCount));
  }
  EXPECT_LT(std::abs(unevenness_of_places(counts, kCount)), kNoChance);
  world.expect_balanced();
}

}  // namespace
}  // namespace allium::dataplane
