// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/callbacks.hpp"

#include <gtest/gtest.h>

namespace allium::control::internal {
namespace {

TEST(Callbacks, ComeWhileTheirOwnerIsThereAndNotLater) {
  auto owner = std::make_shared<bool>(true);
  int sum = 0;
  auto add = while_alive(owner, [&sum](int number) { sum += number; });

  add(1);
  auto copy = add;
  owner.reset();
  add(10);
  copy(100);

  EXPECT_EQ(sum, 1);
}

TEST(Callbacks, ComeOnceWhenAllOfManyHave) {
  int count = 0;
  const std::function<void()> one_less = after_all(3, [&count] { ++count; });

  one_less();
  const std::function<void()> copy = one_less;
  copy();
  EXPECT_EQ(count, 0);
  one_less();
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace allium::control::internal
