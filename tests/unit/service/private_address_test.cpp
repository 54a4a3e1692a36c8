// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/ip/address.hpp>
#include <gtest/gtest.h>

#include "control/service/node_links.hpp"

namespace allium::control {
namespace {

bool is_private(const char* text) {
  return is_private_address(boost::asio::ip::make_address(text));
}

TEST(PrivateAddress, IsAnyOfANetworkOfItsOwn) {
  for (const char* text :
       {"0.0.0.0",      "10.1.2.3",    "127.0.0.1",  "100.64.0.1", "169.254.1.1",
        "172.31.0.1",   "192.168.0.1", "198.18.0.1", "224.0.0.1",  "255.255.255.255",
        "::",           "::1",         "fe80::1",    "febf::1",    "fec0::1",
        "feff:ffff::1", "fc00::1",     "fd12::1",    "ff02::1",    "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(is_private(text)) << text;
  }
}

TEST(PrivateAddress, IsAnyThatOthersTurnIntoAnIpv4Address) {
  for (const char* text :
       {"::10.0.0.1", "::127.0.0.1", "::8.8.8.8", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1",
        "2002:a00:1::1", "2002:808:808::1", "2001::1", "2001:0:a00:1::1"}) {
    EXPECT_TRUE(is_private(text)) << text;
  }
}

TEST(PrivateAddress, IsNoneOfTheInternet) {
  for (const char* text : {"8.8.8.8", "100.128.0.1", "172.32.0.1", "::ffff:8.8.8.8", "2001:1::1",
                           "2001:4860:4860::8888", "2003::1", "2a00:1450::1", "64:ff9c::1"}) {
    EXPECT_FALSE(is_private(text)) << text;
  }
}

}  // namespace
}  // namespace allium::control
