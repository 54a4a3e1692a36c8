// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/secret.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace allium {
namespace {

using Key = Secret<32>;

std::array<std::uint8_t, 32> some_bytes() {
  std::array<std::uint8_t, 32> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(i + 1);
  }
  return bytes;
}

// Read through volatile: the compiler may otherwise decide that a dead object has no value.
bool is_zero(const void* memory, std::size_t byte_count) {
  const auto* bytes = static_cast<const volatile std::uint8_t*>(memory);
  bool zero = true;
  for (std::size_t i = 0; i < byte_count; ++i) {
    zero = zero && bytes[i] == 0;
  }
  return zero;
}

TEST(Secret, IsWipedWhenItEnds) {
  alignas(Key) std::array<std::uint8_t, sizeof(Key)> storage{};
  const auto bytes = some_bytes();
  Key* key = std::construct_at(reinterpret_cast<Key*>(storage.data()),
                               std::span<const std::uint8_t, 32>(bytes));
  EXPECT_FALSE(is_zero(storage.data(), storage.size()));

  std::destroy_at(key);

  EXPECT_TRUE(is_zero(storage.data(), storage.size()));
}

TEST(Secret, IsWipedWhenItIsMovedFrom) {
  const auto bytes = some_bytes();
  Key source{std::span<const std::uint8_t, 32>(bytes)};
  Key target(std::move(source));
  EXPECT_EQ(target.bytes(), bytes);
  // NOLINTNEXTLINE(bugprone-use-after-move): what is left there is the point
  EXPECT_TRUE(is_zero(&source, sizeof source));

  Key assigned;
  assigned = std::move(target);
  EXPECT_EQ(assigned.bytes(), bytes);
  // NOLINTNEXTLINE(bugprone-use-after-move): as above
  EXPECT_TRUE(is_zero(&target, sizeof target));
}

TEST(Secret, IsCopiedByNameOnly) {
  static_assert(!std::is_copy_constructible_v<Key>);
  static_assert(!std::is_copy_assignable_v<Key>);
  const auto bytes = some_bytes();
  const Key source{std::span<const std::uint8_t, 32>(bytes)};
  Key target;
  target.copy_from(source);
  EXPECT_EQ(target.bytes(), source.bytes());
}

TEST(Wipe, OverwritesExactlyItsRange) {
  std::array<std::uint8_t, 48> bytes{};
  bytes.fill(0x5a);
  wipe(bytes.data() + 16, 16);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0x5a), 32);
  EXPECT_TRUE(is_zero(bytes.data() + 16, 16));
}

TEST(Equal, SeesADifferenceInEveryBit) {
  const auto left = some_bytes();
  EXPECT_TRUE(equal(left.data(), left.data(), left.size()));
  for (std::size_t bit = 0; bit < 8 * left.size(); ++bit) {
    auto right = left;
    right[bit / 8] = static_cast<std::uint8_t>(right[bit / 8] ^ 1 << bit % 8);
    EXPECT_FALSE(equal(left.data(), right.data(), left.size())) << bit;
  }
}

}  // namespace
}  // namespace allium
