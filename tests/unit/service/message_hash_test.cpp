// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/message_hash.hpp"

#include <gtest/gtest.h>

#include "control/service/encoding.hpp"

namespace allium::control::internal {
namespace {

const storage::Account kAccount =
    array_of<33>(
        from_hex("05ffba630924aa1224bb930dde21c0d11bf004608f2812217f8ac812d6c7e3ad48").value())
        .value();

// The vector of Session's storage server.
TEST(MessageHash, IsTheOneOfTheVector) {
  const std::string data =
      from_base64(
          "CAES1gIKA1BVVBIPL2FwaS92MS9tZXNzYWdlGrsCCAYovfqZv4YvQq8CVwutUBbhRzZw80TvR6uTYMKg9DSagrtp"
          "eEpY31L7"
          "VxawfS8aSya0SiDa4J025SkjP13YX8g5pxgQ8Z6hgfNArMqr/"
          "tSijJ9miVKVDJ63YWE85O8kyWF8tdtZR5j0Vxb+JH5U8Rg1"
          "bp7ftKk3OSf7JJMcrUUrDnctQHe540zJ2OTDJ03DfubkX5NmKqEu5nhXGxeeDv3mTiL63fjtCvZYcikfjf6Nh1AX"
          "++HTgJ9S"
          "GoEIMastGUorFrmmXb2sbjHxNiJn0Radj/"
          "VzcA9VxYwBW5+AbGQ2d9+vvm7X+8vh+jIenJfjxf+8CWER+9adNfb4YUH07I+g"
          "odNCV0O0J05gzqfKdT7J8MBZzFBtKrbk8oCagPpTsq/wZyYFKFKKD+q+zh704dYBILvs5yXUA96pIAA=")
          .value();
  EXPECT_EQ(data.size(), 347U);
  EXPECT_EQ(message_hash(kAccount, 0, data), "4sMyAuaZlMwww3oFvfhazfw7ASx/7TDtO+TVc8aAjHs");
}

TEST(MessageHash, DiffersByAccountNamespaceAndData) {
  storage::Account other = kAccount;
  other[32] ^= 1;
  const std::string hash = message_hash(kAccount, 5, "data");
  EXPECT_NE(hash, message_hash(other, 5, "data"));
  EXPECT_NE(hash, message_hash(kAccount, -5, "data"));
  EXPECT_NE(hash, message_hash(kAccount, 0, "data"));
  EXPECT_NE(hash, message_hash(kAccount, 5, "datb"));
  EXPECT_EQ(hash, message_hash(kAccount, 5, "data"));
}

}  // namespace
}  // namespace allium::control::internal
