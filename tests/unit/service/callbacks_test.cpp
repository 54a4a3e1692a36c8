// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/callbacks.hpp"

#include <vector>

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

/// Counts its copies.
struct Heavy {
  explicit Heavy(int& count) : copies(count) {}

  Heavy(const Heavy& other) : copies(other.copies) { ++copies; }

  int& copies;
};

TEST(Callbacks, AreCopiedWithoutWhatTheyHold) {
  int copies = 0;
  const std::function<void()> one_less = after_all(100, [heavy = Heavy(copies)] {});
  const int before = copies;
  const std::vector<std::function<void()>> many(100, one_less);
  EXPECT_EQ(copies, before);
}

}  // namespace
}  // namespace allium::control::internal
