// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/address_block.hpp"

#include <gtest/gtest.h>

namespace allium::control {
namespace {

AddressBlock block_of(const char* text) {
  return address_block(boost::asio::ip::make_address(text));
}

TEST(AddressBlock, IsOneIpv4Address) {
  EXPECT_EQ(block_of("192.0.2.1"), 0xc0000201U);
  EXPECT_NE(block_of("192.0.2.1"), block_of("192.0.2.2"));
}

TEST(AddressBlock, IsOneIpv6Slash64) {
  EXPECT_EQ(block_of("2001:db8:0:1::1"), block_of("2001:db8:0:1:ffff::2"));
  EXPECT_NE(block_of("2001:db8:0:1::1"), block_of("2001:db8:0:2::1"));
}

TEST(AddressBlock, SeesThroughMappedAddresses) {
  EXPECT_EQ(block_of("::ffff:192.0.2.1"), block_of("192.0.2.1"));
  EXPECT_EQ(unmapped(boost::asio::ip::make_address("::ffff:192.0.2.1")).to_string(), "192.0.2.1");
}

TEST(AddressBlockHash, DependsOnItsKey) {
  const AddressBlockHash left(system_random());
  const AddressBlockHash right(system_random());

  EXPECT_EQ(left(7), left(7));
  EXPECT_NE(left(7), left(8));
  EXPECT_NE(left(7), right(7));
}

}  // namespace
}  // namespace allium::control
