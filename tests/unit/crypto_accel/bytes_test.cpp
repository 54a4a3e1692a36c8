// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/bytes.hpp"

#include <gtest/gtest.h>

namespace allium {
namespace {

TEST(Bytes, LoadsAndStoresBigEndianOfEveryWidth) {
  constexpr std::uint64_t kValue = 0x0123456789abcdef;
  for (std::size_t width = 0; width <= 8; ++width) {
    std::array<std::uint8_t, 9> bytes{};
    bytes[width] = 0xee;
    store_be(bytes.data(), kValue, width);
    const std::uint64_t kept = width == 8 ? kValue : kValue & ((std::uint64_t{1} << 8 * width) - 1);
    EXPECT_EQ(load_be(bytes.data(), width), kept);
    EXPECT_EQ(bytes[width], 0xee);
  }
}

TEST(Bytes, PutsTheMostSignificantByteFirst) {
  std::array<std::uint8_t, 5> bytes{};
  store_be(bytes.data(), 0x0102030405, 5);
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 5>{1, 2, 3, 4, 5}));
}

TEST(Bytes, XorsBlocks) {
  const Block left{0xff, 0x0f, 0x01};
  const Block right{0x0f, 0x0f, 0x02};
  EXPECT_EQ(left ^ right, (Block{0xf0, 0x00, 0x03}));
}

}  // namespace
}  // namespace allium
