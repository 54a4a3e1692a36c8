// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/setup_limiter.hpp"

#include <gtest/gtest.h>

namespace allium::onion {
namespace {

constexpr std::uint64_t kNow = 1'800'008'434'000;
constexpr SetupLimits kLimits{10, 5, 100, 20};

Endpoint v4_client(std::uint8_t last, std::uint16_t port = 1000) {
  const std::array<std::uint8_t, 4> address = {198, 51, 100, last};
  return Endpoint::from_v4(address.data(), port);
}

Endpoint v6_client(std::uint8_t site, std::uint8_t host) {
  Endpoint client;
  client.address[0] = 0x20;
  client.address[5] = site;
  client.address[6] = host;
  return client;
}

struct Fixture {
  SetupLimiter limiter{kLimits, system_random()};

  // How many of 100 tries at one moment pass.
  int burst_of(const Endpoint& client, std::uint64_t now_ms) {
    int passed = 0;
    for (int i = 0; i < 100; ++i) {
      passed += limiter.admit_client(client, now_ms) ? 1 : 0;
    }
    return passed;
  }
};

TEST(SetupLimiter, LetsABurstThroughAndThenTheRate) {
  Fixture one;

  EXPECT_EQ(one.burst_of(v4_client(1), kNow), 5);
  EXPECT_EQ(one.burst_of(v4_client(1), kNow + 99), 0);
  EXPECT_EQ(one.burst_of(v4_client(1), kNow + 100), 1);
  EXPECT_EQ(one.burst_of(v4_client(1), kNow + 300), 2);
  EXPECT_EQ(one.burst_of(v4_client(1), kNow + 10'000), 5);
}

TEST(SetupLimiter, APrefixIsOneAddressInIPv4AndASiteInIPv6) {
  Fixture one;

  EXPECT_EQ(one.burst_of(v4_client(1, 1000), kNow), 5);
  EXPECT_EQ(one.burst_of(v4_client(1, 2000), kNow), 0);
  EXPECT_EQ(one.burst_of(v4_client(2), kNow), 5);
  EXPECT_EQ(one.burst_of(v6_client(1, 1), kNow), 5);
  EXPECT_EQ(one.burst_of(v6_client(1, 2), kNow), 0);
  EXPECT_EQ(one.burst_of(v6_client(2, 1), kNow), 5);
}

TEST(SetupLimiter, LinksHaveBucketsOfTheirOwn) {
  Fixture one;
  int passed = 0;
  for (int i = 0; i < 100; ++i) {
    passed += one.limiter.admit_relay(0x12345678, kNow) ? 1 : 0;
  }

  EXPECT_EQ(passed, 20);
  EXPECT_TRUE(one.limiter.admit_relay(0x12345679, kNow));
}

TEST(SetupLimiter, AClockThatStepsBackShutsNobodyOutForLong) {
  Fixture one;
  ASSERT_EQ(one.burst_of(v4_client(1), kNow), 5);

  const std::uint64_t back = kNow - 3'600'000;
  EXPECT_EQ(one.burst_of(v4_client(1), back), 0);
  EXPECT_EQ(one.burst_of(v4_client(1), back + 500), 5);
}

TEST(SetupLimiter, ZeroClosesTheDoorAndNewLimitsOpenIt) {
  Fixture one;
  one.limiter.set_limits({0, 5, 100, 0});
  EXPECT_FALSE(one.limiter.admit_client(v4_client(1), kNow));
  EXPECT_FALSE(one.limiter.admit_relay(1, kNow));

  one.limiter.set_limits(kLimits);
  EXPECT_TRUE(one.limiter.admit_client(v4_client(1), kNow));
}

}  // namespace
}  // namespace allium::onion
