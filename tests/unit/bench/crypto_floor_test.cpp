// SPDX-License-Identifier: Apache-2.0

// The floor does what it says: a whole GHASH and a whole AES-CTR over X_R, and nothing else changes.

#include "tools/bench/crypto_floor.hpp"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/primitives.hpp"
#include "tools/bench/packet_ring.hpp"

namespace allium::bench {
namespace {

using crypto_accel::kLanesMax;

// GHASH with its length block, of one block, without what the length block alone gives: block times h squared.
Block times_h2(const Block& h, const Block& block) {
  return crypto_accel::ghash(h, {}, block) ^ crypto_accel::ghash(h, {}, Block{});
}

Block times_h3(const Block& h, const Block& block) {
  std::array<std::uint8_t, 2 * kBlockBytes> two{};
  const Block zeros = crypto_accel::ghash(h, {}, two);
  store_block(two.data(), block);
  return crypto_accel::ghash(h, {}, two) ^ zeros;
}

class CryptoFloorTest : public testing::TestWithParam<onion::PacketClass> {};

TEST_P(CryptoFloorTest, HashesAndEncryptsTheWholePayload) {
  const auto& info = onion::type_info(onion::data_type(GetParam(), onion::Direction::forward));
  PacketRing ring(kLanesMax, info.total_bytes, system_random());
  CryptoFloor floor(GetParam(), system_random());
  const auto burst = ring.burst(kLanesMax - 1);
  std::vector<std::vector<std::uint8_t>> before;
  for (const std::uint8_t* datagram : burst) {
    before.emplace_back(datagram, datagram + info.total_bytes);
  }

  floor.run(burst);

  for (std::size_t lane = 0; lane < burst.size(); ++lane) {
    const Block& h = floor.hash_key(lane);
    const Bytes x_r = Bytes(before[lane]).subspan(info.x_r_offset, info.x_r_bytes);
    Block lengths{};
    store_be(lengths.data() + 8, 8 * x_r.size(), 8);
    EXPECT_EQ(times_h2(h, crypto_accel::ghash(h, {}, x_r)), times_h3(h, floor.hash(lane) ^ lengths))
        << lane;
    crypto_accel::ctr_xor(floor.cipher_key(lane), floor.counter(lane),
                          MutableBytes(before[lane]).subspan(info.x_r_offset, info.x_r_bytes));
    EXPECT_TRUE(std::equal(before[lane].begin(), before[lane].end(), burst[lane])) << lane;
  }
}

INSTANTIATE_TEST_SUITE_P(Classes, CryptoFloorTest,
                         testing::Values(onion::PacketClass::d, onion::PacketClass::v),
                         [](const auto& parameter) {
                           return parameter.param == onion::PacketClass::d ? "D" : "V";
                         });

TEST(PacketRing, GoesRoundAllPacketsInWholeBursts) {
  PacketRing ring(100, 100, system_random());
  std::vector<std::uint8_t*> seen;
  for (int i = 0; i < 4; ++i) {
    const auto burst = ring.burst(24);
    seen.insert(seen.end(), burst.begin(), burst.end());
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::unique(seen.begin(), seen.end()), seen.end());
  for (std::size_t i = 1; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i] - seen[i - 1], std::ptrdiff_t{PacketRing::kStrideBytes});
  }
  EXPECT_EQ(ring.burst(24)[0], seen.front());
}

TEST(PacketRing, ABurstOfPacketsStaysWhereItIs) {
  PacketRing ring(kLanesMax, 64, system_random());
  const std::uint8_t* const first = ring.burst(8)[0];
  EXPECT_EQ(ring.burst(8)[0], first);
}

}  // namespace
}  // namespace allium::bench
