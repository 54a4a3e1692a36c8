// SPDX-License-Identifier: Apache-2.0
#include "control/service/namespaces.hpp"

#include <limits>
#include <set>

#include <gtest/gtest.h>

namespace allium::control {
namespace {

template <typename Rule>
std::set<int> spaces_where(Rule rule) {
  std::set<int> found;
  for (int space = -130; space <= 130; ++space) {
    if (rule(static_cast<Namespace>(space))) {
      found.insert(space);
    }
  }
  return found;
}

TEST(Namespaces, PublicInboxesAreTheMultiplesOfTen) {
  const std::set<int> found = spaces_where(is_public_inbox);
  EXPECT_EQ(found.size(), 27U);
  for (const int space : found) {
    EXPECT_EQ(space % 10, 0);
  }
}

TEST(Namespaces, PublicOutboxesAreEveryTwentiethBelowZero) {
  EXPECT_EQ(spaces_where(is_public_outbox), (std::set<int>{-1, -21, -41, -61, -81, -101, -121}));
}

TEST(Namespaces, UnrevocableOnesAreEveryHundredthBelowZero) {
  EXPECT_EQ(spaces_where(is_unrevocable), (std::set<int>{-11, -111}));
}

TEST(Namespaces, RulesHoldAtTheEndsOfTheRange) {
  constexpr Namespace kLeast = std::numeric_limits<Namespace>::min();
  EXPECT_FALSE(is_public_inbox(kLeast));
  EXPECT_FALSE(is_public_outbox(kLeast));
  EXPECT_TRUE(is_public_outbox(-32761));
  EXPECT_TRUE(is_unrevocable(-32711));
}

TEST(Namespaces, SignaturesLeaveTheDefaultOneOut) {
  EXPECT_EQ(signed_text(Namespace{0}), "");
  EXPECT_EQ(signed_text(Namespace{-11}), "-11");
  EXPECT_EQ(signed_text(Spaces()), "all");
  EXPECT_EQ(signed_text(Spaces(Namespace{0})), "");
  EXPECT_EQ(signed_text(Spaces(Namespace{3})), "3");
}

}  // namespace
}  // namespace allium::control
