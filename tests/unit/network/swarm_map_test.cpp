// SPDX-License-Identifier: Apache-2.0
#include "control/network/swarm_map.hpp"

#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "storage/account.hpp"

namespace allium::control {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

storage::Account account_of(std::string_view hex) {
  storage::Account account{};
  for (std::size_t i = 0; i < account.size(); ++i) {
    account[i] =
        static_cast<std::uint8_t>(std::stoul(std::string(hex.substr(2 * i, 2)), nullptr, 16));
  }
  return account;
}

// Vectors of Session's storage server.
TEST(AccountPoint, IsTheXorOfTheFourWordsBehindThePrefix) {
  const std::pair<std::string, std::uint64_t> kVectors[] = {
      {"053506f4a71324b7dd114eddbf4e311f39dde243e1f2cb97c40db1961f70ebaae8", 17589930838143112648U},
      {"05cf27da303a50ac8c4b2d43d27259505c9bcd73fc21cf2a57902c3d050730b604", 10370619079776428163U},
      {"03d3511706b8b34f6e8411bf07bd22ba6b2435ca56846fbccf6eb1e166a6cd15cc", 2144983569669512198U},
      {"ff0f06693428fca9102a451e3f28d9cc743d8ea60a89ab6aa69eb119470c11cbd3", 9690840703409570833U},
      {"05ffba630924aa1224bb930dde21c0d11bf004608f2812217f8ac812d6c7e3ad48", 4532060000165252872U},
      {"05eeeeeeeeeeeeeeee777777777777777711111111111111118888888888888888", 0U},
      {"050123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 0U},
      {"050000000000000000000000000000000000000000000000000123456789abcdef", 0x0123456789abcdefU},
      {"05000000000000000000000000000000000000000000000000ffffffffffffffff", kMax},
  };
  for (const auto& [hex, point] : kVectors) {
    EXPECT_EQ(storage::point_of(account_of(hex)), point) << hex;
  }
}

const std::vector<SwarmId> kIds = {100, 200, 300, 399, 498, 596, 694};

TEST(SwarmMap, GivesTheNearerNeighbourAndTiesToTheOneBefore) {
  const SwarmMap map(kIds);
  const std::pair<std::uint64_t, SwarmId> kVectors[] = {
      {0, 100},
      {1, 100},
      {149, 100},
      {150, 100},
      {151, 200},
      {249, 200},
      {250, 200},
      {251, 300},
      {349, 300},
      {350, 399},
      {448, 399},
      {449, 498},
      {546, 498},
      {547, 498},
      {548, 596},
      {645, 596},
      {646, 694},
      {0x8000000000000000, 694},
      {0x800000000000018c, 694},
      {0x800000000000018d, 694},
      {0x800000000000018e, 100},
      {0xa000000000000000, 100},
      {kMax, 100},
  };
  for (const auto& [point, swarm] : kVectors) {
    EXPECT_EQ(map.swarm_of(point), swarm) << point;
  }
}

TEST(SwarmMap, ClosesTheRing) {
  std::vector<SwarmId> ids = kIds;
  ids.push_back(kMax - 19);
  const SwarmMap high(ids);
  EXPECT_EQ(high.swarm_of(39), kMax - 19);
  EXPECT_EQ(high.swarm_of(40), kMax - 19);
  EXPECT_EQ(high.swarm_of(41), 100U);
  ids.push_back(0);
  const SwarmMap zero(ids);
  EXPECT_EQ(zero.swarm_of(kMax), 0U);
  EXPECT_EQ(zero.swarm_of(kMax - 1), 0U);
}

TEST(SwarmMap, OfOneSwarmHasEverythingAndOfNoneNothing) {
  EXPECT_EQ(SwarmMap({42}).swarm_of(kMax), 42U);
  EXPECT_FALSE(SwarmMap().swarm_of(1));
  EXPECT_FALSE(SwarmMap({kNoSwarm}).swarm_of(1)) << "nodes without a swarm are in none";
}

TEST(SwarmMap, RangesSayTheSameAsPoints) {
  std::vector<SwarmId> ids = kIds;
  ids.push_back(kMax - 19);
  for (const std::vector<SwarmId>& some : {kIds, ids, std::vector<SwarmId>{7, 8}}) {
    const SwarmMap map(some);
    for (const SwarmId id : map.ids()) {
      const PointRange range = map.points_of(id).value();
      EXPECT_EQ(map.swarm_of(range.first), id);
      EXPECT_EQ(map.swarm_of(range.last), id);
      EXPECT_NE(map.swarm_of(range.first - 1), id);
      EXPECT_NE(map.swarm_of(range.last + 1), id);
    }
  }
  EXPECT_EQ(SwarmMap({5}).points_of(5), (PointRange{0, kMax}));
  EXPECT_FALSE(SwarmMap({5}).points_of(6));
}

// Vectors of Session's chain.
TEST(NewSwarmId, IsTheMiddleOfTheWidestGap) {
  constexpr SwarmId kLast = kMax - 1;
  const std::pair<std::vector<SwarmId>, SwarmId> kVectors[] = {
      {{}, 0},
      {{0}, kLast / 2},
      {{0, kLast / 2}, kLast / 2 + kLast / 4 + 1},
      {{0, kLast / 2, kLast / 2 + kLast / 4 + 1}, kLast / 4},
      {{kLast / 2}, kLast},
      {{kLast / 4}, kLast / 2 + kLast / 4},
  };
  for (const auto& [ids, id] : kVectors) {
    EXPECT_EQ(new_swarm_id(SwarmMap(ids)), id) << ids.size();
  }
}

TEST(NewSwarmId, IsFreeAndLegalHoweverManyThereAre) {
  std::vector<SwarmId> ids;
  for (int i = 0; i < 300; ++i) {
    ids.push_back(new_swarm_id(SwarmMap(ids)));
    EXPECT_EQ(SwarmMap(ids).ids().size(), ids.size()) << ids.back();
  }
  // Across the end of the ring, where the number of ids is odd and the number of numbers is not.
  EXPECT_EQ(new_swarm_id(SwarmMap({kMax - 19, kMax - 9})), (std::uint64_t{1} << 63) - 15);
  EXPECT_EQ(new_swarm_id(SwarmMap({kMax - 1, kMax - 2})), (std::uint64_t{1} << 63) - 2);
}

}  // namespace
}  // namespace allium::control
