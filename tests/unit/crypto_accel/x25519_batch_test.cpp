// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/x25519_batch.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/bn.h>

#include "crypto_accel/primitives.hpp"
#include "tests/unit/crypto_accel/guarded_buffer.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {

// GoogleTest finds it by the argument's namespace; test names would have addresses in them without.
// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's
static void PrintTo(const X25519Kernel* kernel, std::ostream* stream) {
  *stream << kernel->name;
}

namespace {

using test::GuardedBuffer;
using test::hex_array;
using test::Placement;
using test::TestRandom;

using Scalar = std::array<std::uint8_t, 32>;

constexpr std::size_t kGroupLanes = 8;

PrivateKey private_key(const Scalar& bytes) {
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

// Sets bit i of each number in `bits`.
template <typename Predicate>
PublicKey with_bits(Predicate is_set) {
  PublicKey key{};
  for (std::size_t i = 0; i < 255; ++i) {
    key[i / 8] |= static_cast<std::uint8_t>((is_set(i) ? 1U : 0U) << (i % 8));
  }
  return key;
}

// The numbers from which carries go furthest: every limb of 51 bits empty or full, p - 1 to 2^255 - 1, single bits at the
// edges of limbs; and the points of low order.
std::vector<PublicKey> carry_stress_points() {
  std::vector<PublicKey> points = low_order_points();
  for (std::size_t full = 0; full < 32; ++full) {
    points.push_back(with_bits([full](std::size_t bit) { return (full >> bit / 51 & 1) != 0; }));
  }
  for (unsigned low = 0xec; low <= 0xff; ++low) {
    PublicKey key;
    key.fill(0xff);
    key[0] = static_cast<std::uint8_t>(low);
    points.push_back(key);
    key[31] = 0x7f;
    points.push_back(key);
  }
  for (const std::size_t edge : {0U, 50U, 51U, 52U, 101U, 102U, 152U, 153U, 203U, 204U, 254U}) {
    points.push_back(with_bits([edge](std::size_t bit) { return bit == edge; }));
    points.push_back(with_bits([edge](std::size_t bit) { return bit != edge; }));
  }
  return points;
}

std::vector<Scalar> special_scalars() {
  std::vector<Scalar> scalars(6);
  scalars[1].fill(0xff);
  scalars[2].fill(0x55);
  scalars[3].fill(0xaa);
  // The order of the base point, and the order of the twist's.
  scalars[4] = hex_array<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  scalars[5] = hex_array<32>("1358140be539cbb4d2c4107a43842ac9ffffffffffffffffffffffffffffff1f");
  for (const std::size_t bit : {3U, 4U, 63U, 64U, 127U, 128U, 191U, 192U, 252U, 253U}) {
    scalars.push_back(with_bits([bit](std::size_t index) { return index == bit; }));
    scalars.push_back(with_bits([bit](std::size_t index) { return index != bit; }));
  }
  return scalars;
}

class X25519KernelTest : public testing::TestWithParam<const X25519Kernel*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) {
      GTEST_SKIP() << "this machine cannot run " << GetParam()->name;
    }
  }

  // Runs the kernel over `points` and compares every lane with libsodium's answer for it alone.
  static void expect_same_as_alone(const Scalar& scalar, std::span<const PublicKey> points) {
    const PrivateKey key = private_key(scalar);
    std::vector<SharedSecret> shared(points.size());
    for (SharedSecret& secret : shared) {
      secret.fill(0xa5);
    }
    const LaneMask good = GetParam()->run(key, points, shared);
    LaneMask expected_good = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      SharedSecret alone{};
      expected_good |= LaneMask{x25519(key, points[i], alone)} << i;
      EXPECT_EQ(shared[i], alone) << "lane " << i << " of " << points.size();
    }
    EXPECT_EQ(good, expected_good);
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
                         [](const auto& tested) {
                           std::string name(tested.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

struct KnownAnswer {
  Scalar scalar;
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

// One point may take another way than several.
TEST_P(X25519KernelTest, GivesThePublishedAnswersInEveryLane) {
  for (const KnownAnswer& known : known_answers()) {
    for (const std::size_t lane_count : {std::size_t{1}, std::size_t{2}, kLanesMax}) {
      const std::vector<PublicKey> points(lane_count, known.point);
      std::vector<SharedSecret> shared(lane_count);
      EXPECT_EQ(GetParam()->run(private_key(known.scalar), points, shared),
                first_lanes(lane_count));
      EXPECT_EQ(shared, std::vector<SharedSecret>(lane_count, known.shared));
    }
  }
}

// RFC 7748, section 5.2: k := X25519(k, u), u := the old k. A million are a minute or two, so only where ALLIUM_LONG is
// set.
TEST_P(X25519KernelTest, GivesThePublishedAnswersOfManyIterations) {
  const bool is_long = std::getenv("ALLIUM_LONG") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  Scalar scalar{9};
  PublicKey point{9};
  for (int i = 1; i <= (is_long ? 1'000'000 : 1000); ++i) {
    const std::array<PublicKey, 2> points{point, point};
    std::array<SharedSecret, 2> shared{};
    ASSERT_EQ(GetParam()->run(private_key(scalar), points, shared), 3U);
    ASSERT_EQ(shared[0], shared[1]);
    point = scalar;
    scalar = shared[i % 2 == 0 ? 0 : 1];
    if (i == 1) {
      ASSERT_EQ(scalar,
                hex_array<32>("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
    }
    if (i == 1000) {
      ASSERT_EQ(scalar,
                hex_array<32>("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    }
  }
  if (is_long) {
    EXPECT_EQ(scalar,
              hex_array<32>("7c3911e0ab2586fd864497297e575e6f3bc601c0883c30df5f4dd2d24f665424"));
  }
}

TEST_P(X25519KernelTest, IsTheSameAsOneAfterTheOtherForEveryLaneCount) {
  TestRandom random(12);
  for (std::size_t lane_count = 0; lane_count <= kLanesMax; ++lane_count) {
    std::vector<PublicKey> points(lane_count);
    for (PublicKey& point : points) {
      random.fill(point);
    }
    expect_same_as_alone(random.array<32>(), points);
  }
}

TEST_P(X25519KernelTest, MixesGoodLanesAndLanesOfLowOrderForEveryLaneCount) {
  TestRandom random(11);
  const std::vector<PublicKey> low_order = low_order_points();
  for (std::size_t lane_count = 0; lane_count <= kLanesMax; ++lane_count) {
    std::vector<PublicKey> points(lane_count);
    for (PublicKey& point : points) {
      point =
          random.word() % 3 == 0 ? low_order[random.word() % low_order.size()] : random.array<32>();
    }
    expect_same_as_alone(random.array<32>(), points);
  }
}

// A zero among factors that are inverted together would spoil them all.
TEST_P(X25519KernelTest, KeepsNeighboursOfLowOrderPointsUnharmedUnderEveryMaskOfAGroup) {
  TestRandom random(13);
  const std::vector<PublicKey> low_order = low_order_points();
  const PrivateKey scalar = private_key(random.array<32>());
  std::array<PublicKey, kLanesMax> good_points{};
  std::array<SharedSecret, kLanesMax> good_secrets{};
  for (PublicKey& point : good_points) {
    random.fill(point);
  }
  ASSERT_EQ(x25519_kernels().front().run(scalar, good_points, good_secrets),
            first_lanes(kLanesMax));
  for (LaneMask bad = 1; bad < LaneMask{1} << kGroupLanes; ++bad) {
    const std::size_t group = bad % (kLanesMax / kGroupLanes);
    auto points = good_points;
    auto expected = good_secrets;
    for (std::size_t lane = 0; lane < kGroupLanes; ++lane) {
      if ((bad >> lane & 1) != 0) {
        points[group * kGroupLanes + lane] = low_order[random.word() % low_order.size()];
        expected[group * kGroupLanes + lane].fill(0);
      }
    }
    for (const std::size_t lane_count : {(group + 1) * kGroupLanes, kLanesMax}) {
      std::vector<SharedSecret> shared(lane_count);
      EXPECT_EQ(GetParam()->run(scalar, std::span(points).first(lane_count), shared),
                first_lanes(lane_count) & ~(bad << group * kGroupLanes));
      EXPECT_TRUE(std::equal(shared.begin(), shared.end(), expected.begin())) << "mask " << bad;
    }
  }
}

TEST_P(X25519KernelTest, CarriesWhereLimbsAreFullAndScalarsAreSpecial) {
  TestRandom random(14);
  std::vector<Scalar> scalars = special_scalars();
  scalars.push_back(random.array<32>());
  std::vector<PublicKey> points = carry_stress_points();
  for (const Scalar& scalar : scalars) {
    for (std::size_t begin = 0; begin < points.size(); begin += kLanesMax) {
      expect_same_as_alone(scalar, std::span<const PublicKey>(points).subspan(
                                       begin, std::min(kLanesMax, points.size() - begin)));
    }
    std::rotate(points.begin(), points.begin() + 1, points.end());  // every point in other lanes
  }
}

// Whether u is of the curve, not of its twist: u^3 + 486662 u^2 + u is a square.
bool is_on_curve(const PublicKey& point) {
  using Number = std::unique_ptr<BIGNUM, decltype(&BN_free)>;
  const std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)> context(BN_CTX_new(), BN_CTX_free);
  const Number prime(BN_new(), BN_free);
  const Number u(BN_lebin2bn(point.data(), static_cast<int>(point.size()), nullptr), BN_free);
  const Number value(BN_new(), BN_free);
  BN_set_bit(prime.get(), 255);
  BN_sub_word(prime.get(), 19);
  BN_copy(value.get(), u.get());
  BN_add_word(value.get(), 486662);
  BN_mod_mul(value.get(), value.get(), u.get(), prime.get(), context.get());
  BN_add_word(value.get(), 1);
  BN_mod_mul(value.get(), value.get(), u.get(), prime.get(), context.get());
  return BN_kronecker(value.get(), prime.get(), context.get()) == 1;
}

TEST_P(X25519KernelTest, TakesPointsOfTheCurveAndOfItsTwist) {
  std::array<PublicKey, kLanesMax> points{};
  std::ptrdiff_t on_curve = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    points[i][0] = static_cast<std::uint8_t>(2 + i);
    on_curve += is_on_curve(points[i]) ? 1 : 0;
  }
  ASSERT_TRUE(is_on_curve(PublicKey{9}));
  ASSERT_GT(on_curve, 5);
  ASSERT_LT(on_curve, 27);
  expect_same_as_alone(TestRandom(15).array<32>(), points);
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

TEST_P(X25519KernelTest, TakesAnyAlignmentAndTouchesNothingBeyondItsBuffers) {
  TestRandom random(16);
  const PrivateKey scalar = private_key(random.array<32>());
  const auto bytes = random.array<kLanesMax * 32>();
  std::array<PublicKey, kLanesMax> points{};
  for (std::size_t i = 0; i < points.size(); ++i) {
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(32 * i), 32, points[i].begin());
  }
  std::array<SharedSecret, kLanesMax> expected{};
  ASSERT_EQ(x25519_kernels().front().run(scalar, points, expected), first_lanes(kLanesMax));
  GuardedBuffer guarded_points;
  GuardedBuffer guarded_shared;
  const std::vector<std::uint8_t> blank(bytes.size(), 0xa5);
  for (const std::size_t lane_count : {1U, 2U, 7U, 8U, 9U, 32U}) {
    for (std::size_t distance = 0; distance < 64; distance += lane_count == 32 ? 7 : 3) {
      for (const Placement::Edge edge : {Placement::Edge::front, Placement::Edge::back}) {
        const auto* placed = reinterpret_cast<const PublicKey*>(
            guarded_points.place({edge, distance}, Bytes(bytes).first(32 * lane_count)));
        auto* shared = reinterpret_cast<SharedSecret*>(
            guarded_shared.place({edge, distance}, Bytes(blank).first(32 * lane_count)));

        EXPECT_EQ(GetParam()->run(scalar, {placed, lane_count}, {shared, lane_count}),
                  first_lanes(lane_count));

        EXPECT_TRUE(std::equal(shared, shared + lane_count, expected.begin()));
      }
    }
  }
}

TEST_P(X25519KernelTest, EndsTheProgramWhereLengthsDiffer) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const PrivateKey scalar;
  std::array<PublicKey, 33> points{};
  std::array<SharedSecret, 33> shared{};
  EXPECT_DEATH(static_cast<void>(
                   GetParam()->run(scalar, std::span(points).first(2), std::span(shared).first(1))),
               "check failed");
  EXPECT_DEATH(static_cast<void>(GetParam()->run(scalar, points, shared)), "check failed");
}

}  // namespace
}  // namespace allium::crypto_accel
