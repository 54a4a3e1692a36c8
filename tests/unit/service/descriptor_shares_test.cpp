// SPDX-License-Identifier: Apache-2.0
#include "control/service/descriptor_shares.hpp"

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

constexpr DescriptorShares kFull{.https = 10'000, .omq_clients = 4096, .omq_silent = 2048};

std::size_t sum_of(const DescriptorShares& shares) {
  return shares.https + shares.omq_clients + shares.omq_silent;
}

TEST(DescriptorShares, AreAllWhereThereAreEnough) {
  EXPECT_EQ(sum_of(share_descriptors(sum_of(kFull) + 3072, kFull)), sum_of(kFull));
  EXPECT_EQ(sum_of(share_descriptors(UINT64_MAX, kFull)), sum_of(kFull));
  EXPECT_LT(sum_of(share_descriptors(sum_of(kFull) + 3071, kFull)), sum_of(kFull));
}

TEST(DescriptorShares, LeaveAReserveWhereThereAreFew) {
  for (const std::uint64_t limit : {256U, 1024U, 4096U, 8192U, 16'384U}) {
    const DescriptorShares shares = share_descriptors(limit, kFull);
    EXPECT_LE(sum_of(shares), limit - std::min<std::uint64_t>(2048, limit / 2)) << limit;
    EXPECT_GE(sum_of(shares), limit / 2 - 3) << limit;
    EXPECT_NEAR(static_cast<double>(shares.https) / static_cast<double>(sum_of(shares)), 0.62, 0.02)
        << limit;
  }
}

}  // namespace
}  // namespace allium::control
