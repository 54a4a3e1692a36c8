// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/token_buckets.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using std::chrono::milliseconds;

const TokenBuckets::TimePoint kStart = TokenBuckets::TimePoint(std::chrono::hours(1));

address v4(std::uint32_t number) {
  return address_v4(number);
}

int taken(TokenBuckets& buckets, const address& peer, TokenBuckets::TimePoint now) {
  int count = 0;
  while (buckets.take(peer, now)) {
    ++count;
  }
  return count;
}

TEST(TokenBuckets, GiveTheBurstAndThenTheRate) {
  TokenBuckets buckets({}, system_random());

  EXPECT_EQ(taken(buckets, v4(1), kStart), 600);
  EXPECT_EQ(taken(buckets, v4(1), kStart + milliseconds(100)), 30);
  EXPECT_EQ(taken(buckets, v4(1), kStart + milliseconds(200)), 30);
  EXPECT_EQ(taken(buckets, v4(1), kStart + std::chrono::hours(5)), 600);
}

TEST(TokenBuckets, GiveSeveralAtOnceOrNone) {
  TokenBuckets buckets({}, system_random());

  EXPECT_TRUE(buckets.take(v4(1), kStart, 500));
  EXPECT_FALSE(buckets.take(v4(1), kStart, 101));
  EXPECT_TRUE(buckets.take(v4(1), kStart, 100));
  EXPECT_FALSE(buckets.take(v4(1), kStart));
}

TEST(TokenBuckets, AreOnePerAddress) {
  TokenBuckets buckets({}, system_random());

  EXPECT_EQ(taken(buckets, v4(1), kStart), 600);
  EXPECT_EQ(taken(buckets, v4(2), kStart), 600);
  EXPECT_FALSE(buckets.take(v4(1), kStart));
}

TEST(TokenBuckets, TakeAnIpv6NetworkAsOnePeer) {
  TokenBuckets buckets({}, system_random());

  EXPECT_EQ(taken(buckets, boost::asio::ip::make_address("2001:db8::1"), kStart), 600);
  EXPECT_FALSE(buckets.take(boost::asio::ip::make_address("2001:db8::2"), kStart));
  EXPECT_TRUE(buckets.take(boost::asio::ip::make_address("2001:db8:0:1::1"), kStart));
}

TEST(TokenBuckets, GoIntoDebtForWhatTurnsOutToCostMore) {
  TokenBuckets buckets({.capacity = 10, .refill_per_second = 5, .addresses_max = 1},
                       system_random());
  EXPECT_TRUE(buckets.take(v4(1), kStart));
  buckets.charge(v4(1), kStart, 14);  // 5 more than there were

  EXPECT_FALSE(buckets.take(v4(1), kStart + milliseconds(1199)));
  EXPECT_TRUE(buckets.take(v4(1), kStart + milliseconds(1200)));
  EXPECT_EQ(taken(buckets, v4(1), kStart + std::chrono::seconds(60)), 10);

  EXPECT_TRUE(buckets.take(v4(2), kStart));  // of the newcomers' bucket
  buckets.charge(v4(2), kStart, 100);
  EXPECT_FALSE(buckets.take(v4(3), kStart + std::chrono::seconds(10)));
}

TEST(TokenBuckets, AreNotFreedByAFloodOfAddresses) {
  TokenBuckets buckets({.capacity = 10, .refill_per_second = 5, .addresses_max = 100},
                       system_random());
  EXPECT_EQ(taken(buckets, v4(1), kStart), 10);

  int flood_taken = 0;
  for (std::uint32_t peer = 2; peer < 5000; ++peer) {
    flood_taken += buckets.take(v4(peer), kStart) ? 1 : 0;
  }

  EXPECT_FALSE(buckets.take(v4(1), kStart));
  EXPECT_EQ(flood_taken, 99 + 10);  // the places left, and the newcomers' bucket
  EXPECT_EQ(buckets.size(), 100U);
}

TEST(TokenBuckets, GivePlacesAgainOnceTheyAreFull) {
  TokenBuckets buckets({.capacity = 10, .refill_per_second = 5, .addresses_max = 3},
                       system_random());
  for (std::uint32_t peer = 1; peer <= 3; ++peer) {
    EXPECT_TRUE(buckets.take(v4(peer), kStart));
  }

  EXPECT_EQ(taken(buckets, v4(4), kStart + milliseconds(199)), 10);  // shared
  EXPECT_FALSE(buckets.take(v4(5), kStart + milliseconds(199)));
  EXPECT_EQ(taken(buckets, v4(5), kStart + milliseconds(200)), 10);  // its own
  EXPECT_EQ(buckets.size(), 3U);
}

}  // namespace
}  // namespace allium::control
