// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/x25519_batch.hpp"

#include <algorithm>
#include <ostream>
#include <vector>

#include <gtest/gtest.h>

#include "crypto_accel/primitives.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {

// GoogleTest finds it by the argument's namespace; test names would have addresses in them without.
// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's
static void PrintTo(const X25519Kernel* kernel, std::ostream* stream) {
  *stream << kernel->name;
}

namespace {

using test::hex_array;
using test::TestRandom;

PrivateKey private_key(const std::array<std::uint8_t, 32>& bytes) {
  return PrivateKey(std::span<const std::uint8_t, 32>(bytes));
}

// Points whose secret is zero for every clamped scalar: 0, 1, the two of order 8, p-1, p, p+1.
std::vector<PublicKey> low_order_points() {
  return {
      hex_array<32>("0000000000000000000000000000000000000000000000000000000000000000"),
      hex_array<32>("0100000000000000000000000000000000000000000000000000000000000000"),
      hex_array<32>("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
      hex_array<32>("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
      hex_array<32>("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      hex_array<32>("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
      hex_array<32>("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  };
}

class X25519KernelTest : public testing::TestWithParam<const X25519Kernel*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) {
      GTEST_SKIP() << "this machine cannot run " << GetParam()->name;
    }
  }
};

std::vector<const X25519Kernel*> all_kernels() {
  std::vector<const X25519Kernel*> kernels;
  for (const X25519Kernel& kernel : x25519_kernels()) {
    kernels.push_back(&kernel);
  }
  return kernels;
}

INSTANTIATE_TEST_SUITE_P(Kernels, X25519KernelTest, testing::ValuesIn(all_kernels()),
                         [](const auto& tested) { return std::string(tested.param->name); });

struct KnownAnswer {
  std::array<std::uint8_t, 32> scalar;
  PublicKey point;
  SharedSecret shared;
};

// RFC 7748, sections 5.2 and 6.1.
std::vector<KnownAnswer> known_answers() {
  return {
      {hex_array<32>("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
       hex_array<32>("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
       hex_array<32>("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")},
      {hex_array<32>("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
       hex_array<32>("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"),
       hex_array<32>("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")},
      {hex_array<32>("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
       hex_array<32>("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
       hex_array<32>("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")},
  };
}

TEST_P(X25519KernelTest, GivesThePublishedAnswers) {
  for (const KnownAnswer& known : known_answers()) {
    SharedSecret shared{};
    EXPECT_EQ(GetParam()->run(private_key(known.scalar), std::span(&known.point, 1),
                              std::span(&shared, 1)),
              1U);
    EXPECT_EQ(shared, known.shared);
  }
}

// RFC 7748, section 5.2: k := X25519(k, u), u := the old k, a thousand times.
TEST_P(X25519KernelTest, GivesThePublishedAnswersOfAThousandIterations) {
  std::array<std::uint8_t, 32> scalar{9};
  PublicKey point{9};
  for (int i = 1; i <= 1000; ++i) {
    SharedSecret shared{};
    ASSERT_EQ(GetParam()->run(private_key(scalar), std::span(&point, 1), std::span(&shared, 1)),
              1U);
    point = scalar;
    scalar = shared;
    if (i == 1) {
      EXPECT_EQ(scalar,
                hex_array<32>("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    }
  }
  EXPECT_EQ(scalar,
            hex_array<32>("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

TEST_P(X25519KernelTest, MixesGoodLanesAndLanesOfLowOrderForEveryLaneCount) {
  TestRandom random(11);
  const std::vector<PublicKey> low_order = low_order_points();
  const PrivateKey scalar = private_key(random.array<32>());
  for (std::size_t lane_count = 0; lane_count <= kLanesMax; ++lane_count) {
    std::vector<PublicKey> points(lane_count);
    LaneMask expected_good = 0;
    for (std::size_t i = 0; i < lane_count; ++i) {
      const std::uint32_t choice = random.word() % 3;
      points[i] = choice == 0 ? low_order[random.word() % low_order.size()] : random.array<32>();
      expected_good |= choice == 0 ? 0 : LaneMask{1} << i;
    }
    std::vector<SharedSecret> shared(lane_count);
    for (SharedSecret& secret : shared) {
      secret.fill(0xa5);
    }

    EXPECT_EQ(GetParam()->run(scalar, points, shared), expected_good);

    for (std::size_t i = 0; i < lane_count; ++i) {
      SharedSecret alone{};
      EXPECT_EQ(x25519(scalar, points[i], alone), (expected_good >> i & 1) != 0);
      EXPECT_EQ(shared[i], alone) << "lane " << i << " of " << lane_count;
    }
  }
}

TEST_P(X25519KernelTest, IgnoresBit255AndTakesNumbersBeyondThePrime) {
  const PrivateKey scalar = private_key(known_answers()[0].scalar);
  PublicKey base{9};
  PublicKey base_with_bit = base;
  base_with_bit[31] = 0x80;
  const PublicKey base_plus_prime =
      hex_array<32>("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  const std::array<PublicKey, 3> points{base, base_with_bit, base_plus_prime};
  std::array<SharedSecret, 3> shared{};

  EXPECT_EQ(GetParam()->run(scalar, points, shared), 7U);

  EXPECT_EQ(shared[1], shared[0]);
  EXPECT_EQ(shared[2], shared[0]);
  EXPECT_EQ(shared[0], x25519_public(scalar));
}

TEST(X25519DeathTest, EndsTheProgramWhereLengthsDiffer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const X25519Kernel& kernel = x25519_kernels().front();
  const PrivateKey scalar;
  std::array<PublicKey, 2> points{};
  std::array<SharedSecret, 1> shared{};
  EXPECT_DEATH(static_cast<void>(kernel.run(scalar, points, shared)), "check failed");
}

}  // namespace
}  // namespace allium::crypto_accel
