// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/turns.hpp"

#include <string>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

TEST(Turns, GoFromAddressToAddressHoweverManyWaitAtOne) {
  Turns<std::string> turns;
  EXPECT_TRUE(turns.is_empty());
  for (const char* name : {"a1", "a2", "a3", "a4"}) {
    turns.add(1, name);
  }
  turns.add(2, "b1");
  EXPECT_EQ(turns.take(), "a1");
  EXPECT_EQ(turns.take(), "b1");
  turns.add(2, "b2");  // has had its turn
  EXPECT_EQ(turns.take(), "a2");
  EXPECT_EQ(turns.take(), "b2");
  EXPECT_EQ(turns.take(), "a3");
  EXPECT_EQ(turns.take(), "a4");
  EXPECT_TRUE(turns.is_empty());
}

}  // namespace
}  // namespace allium::control
