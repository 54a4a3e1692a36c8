// SPDX-License-Identifier: Apache-2.0

// X25519 in eight lanes of AVX-512 IFMA: lane i of every register belongs to point i. Nothing crosses lanes but in the
// shared inversion, no branch and no address depends on a secret.
//
// This file alone is compiled for AVX-512. It includes nothing with inline bodies besides the intrinsics, and all but
// `multiply` is local to it.
//
// A field element is five limbs of 51 bits, 2^255 = 19. IFMA multiplies the low 52 bits of both factors and silently
// drops what is above: so every factor is "carried" (limbs <= kCarriedMax < 2^52), and carries are spent on factors
// alone. What leaves a product is "wide"; sums and differences are taken of wide limbs, and only the result is carried.
//
// Bounds, in units of 2^51 where not said otherwise. Factors are <= 1 + 2^-36.
//   lo(a, b) < 2, hi(a, b) < 0.5 (a quarter of 2^104 / 2^52, and a little)
//   high column    t5 <= 4 * 2 + 2 * 5 * 0.5 = 13, the others less; the biases add 16
//   wide           19 * 13 + 2 = 249 < 256 without a bias, column 0 being the largest; 304 more with one
//   difference     minuend + bias - subtrahend: the bias is 304 p, limb by limb >= 256 (1 - 2^-47) > 249
//   before a carry wide with bias + wide <= 304 + 2 * 249 = 802 < 2^10, so a limb is < 2^61
//   carried        2^51 - 1 + 801 in limbs 1 to 4, 2^51 - 1 + 19 * 801 < 2^51 + 2^14 in limb 0

#include "crypto_accel/kernels/x25519_avx512_ifma.hpp"

#include <immintrin.h>

namespace allium::crypto_accel::x25519_avx512_ifma {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kLimbs = 5;
constexpr std::size_t kGroupsMax = kPointsMax / kLanes;
constexpr std::size_t kPointBytes = 32;
constexpr int kLimbBits = 51;
constexpr long long kLimbMask = (1LL << kLimbBits) - 1;
constexpr long long kCarriedMax = kLimbMask + (1LL << 14);
constexpr long long kFold = 19;                  // 2^255 mod p
constexpr long long kA24 = 121665;               // (486662 - 2) / 4, RFC 7748 section 5
constexpr long long kPrimeLow = kLimbMask - 18;  // limb 0 of p
static_assert(2 * kCarriedMax >= 1LL << 52, "why a sum of two factors is no factor");
static_assert(kCarriedMax < 1LL << 52);

#define ALLIUM_INLINE inline __attribute__((always_inline))

/// One limb of eight elements.
struct Eight {
  __m512i x;
};

/// Two independent ones whose instructions alternate: a product alone waits for its own latency.
struct Two {
  __m512i x;
  __m512i y;
};

ALLIUM_INLINE Eight in_all_lanes(long long limb) {
  return {_mm512_set1_epi64(limb)};
}

ALLIUM_INLINE Eight zero() {
  return {_mm512_setzero_si512()};
}

ALLIUM_INLINE Eight lo(Eight sum, Eight a, Eight b) {
  return {_mm512_madd52lo_epu64(sum.x, a.x, b.x)};
}

ALLIUM_INLINE Eight hi(Eight sum, Eight a, Eight b) {
  return {_mm512_madd52hi_epu64(sum.x, a.x, b.x)};
}

ALLIUM_INLINE Eight plus(Eight a, Eight b) {
  return {_mm512_add_epi64(a.x, b.x)};
}

ALLIUM_INLINE Eight minus(Eight a, Eight b) {
  return {_mm512_sub_epi64(a.x, b.x)};
}

ALLIUM_INLINE Eight either(Eight a, Eight b) {
  return {_mm512_or_si512(a.x, b.x)};
}

ALLIUM_INLINE Eight low_bits(Eight a) {
  return {_mm512_and_si512(a.x, _mm512_set1_epi64(kLimbMask))};
}

// Masked with all lanes, which costs nothing: GCC 12 takes the unmasked forms for uses of an uninitialised value.
constexpr __mmask8 kAllLanes = 0xff;

template <int kBits>
ALLIUM_INLINE Eight left(Eight a) {
  return {_mm512_maskz_slli_epi64(kAllLanes, a.x, kBits)};
}

template <int kBits>
ALLIUM_INLINE Eight right(Eight a) {
  return {_mm512_maskz_srli_epi64(kAllLanes, a.x, kBits)};
}

ALLIUM_INLINE Eight first(Two a) {
  return {a.x};
}

ALLIUM_INLINE Eight second(Two a) {
  return {a.y};
}

ALLIUM_INLINE Two pair(Eight a, Eight b) {
  return {a.x, b.x};
}

ALLIUM_INLINE Two lo(Two sum, Two a, Two b) {
  return pair(lo(first(sum), first(a), first(b)), lo(second(sum), second(a), second(b)));
}

ALLIUM_INLINE Two lo(Two sum, Two a, Eight b) {
  return lo(sum, a, pair(b, b));
}

ALLIUM_INLINE Two hi(Two sum, Two a, Two b) {
  return pair(hi(first(sum), first(a), first(b)), hi(second(sum), second(a), second(b)));
}

ALLIUM_INLINE Two plus(Two a, Two b) {
  return pair(plus(first(a), first(b)), plus(second(a), second(b)));
}

ALLIUM_INLINE Two low_bits(Two a) {
  return pair(low_bits(first(a)), low_bits(second(a)));
}

template <int kBits>
ALLIUM_INLINE Two left(Two a) {
  return pair(left<kBits>(first(a)), left<kBits>(second(a)));
}

template <int kBits>
ALLIUM_INLINE Two right(Two a) {
  return pair(right<kBits>(first(a)), right<kBits>(second(a)));
}

template <typename V>
ALLIUM_INLINE V doubled(V a) {
  return plus(a, a);
}

/// One field element a lane (or two, side by side).
template <typename V>
struct Element {
  V l0, l1, l2, l3, l4;
};

using Field = Element<Eight>;
using FieldPair = Element<Two>;

ALLIUM_INLINE FieldPair pair(const Field& a, const Field& b) {
  return {pair(a.l0, b.l0), pair(a.l1, b.l1), pair(a.l2, b.l2), pair(a.l3, b.l3), pair(a.l4, b.l4)};
}

ALLIUM_INLINE Field first(const FieldPair& a) {
  return {first(a.l0), first(a.l1), first(a.l2), first(a.l3), first(a.l4)};
}

ALLIUM_INLINE Field second(const FieldPair& a) {
  return {second(a.l0), second(a.l1), second(a.l2), second(a.l3), second(a.l4)};
}

#ifdef ALLIUM_CHECK_LIMBS
// Tests build this file once more with the bounds checked before every product.
void check_factor(Eight limb) {
  if (_mm512_cmpgt_epu64_mask(limb.x, _mm512_set1_epi64(kCarriedMax)) != 0) {
    __builtin_trap();
  }
}

void check_factor(Two limb) {
  check_factor(first(limb));
  check_factor(second(limb));
}

template <typename V>
void check_factor(const Element<V>& a) {
  check_factor(a.l0);
  check_factor(a.l1);
  check_factor(a.l2);
  check_factor(a.l3);
  check_factor(a.l4);
}
#else
template <typename V>
ALLIUM_INLINE void check_factor(const Element<V>& /*a*/) {}
#endif

// ---- where the accumulators of a product begin ----

/// What a product begins with in its columns 5, 6 to 8, and 9.
template <typename V>
struct Bias {
  V column5, columns678, column9;
};

ALLIUM_INLINE Bias<Eight> no_bias() {
  return {zero(), zero(), zero()};
}

// A difference needs a multiple of p that no subtrahend exceeds in any limb. Put into the high columns before the first
// instruction, where a zero would stand else, it costs nothing: 8 p there is 2 * 19 * 8 p = 304 p in the result.
ALLIUM_INLINE Bias<Eight> mul_bias() {
  const Eight columns = in_all_lanes(8 * kLimbMask);
  return {in_all_lanes(8 * kPrimeLow), columns, columns};
}

// A square doubles its columns 5 to 8 twice.
ALLIUM_INLINE Bias<Eight> square_bias() {
  return {in_all_lanes(4 * kPrimeLow), in_all_lanes(4 * kLimbMask), in_all_lanes(8 * kLimbMask)};
}

ALLIUM_INLINE Bias<Two> pair(const Bias<Eight>& a, const Bias<Eight>& b) {
  return {pair(a.column5, b.column5), pair(a.columns678, b.columns678), pair(a.column9, b.column9)};
}

// ---- products ----

// hi() of limbs i and j weighs 2^(51 (i + j) + 52): twice column i + j + 1. So a column sums its hi, doubles, and goes on
// with its lo. A high column t then begins the low one: (8t + t + hi..) * 2 + t + lo.. is 19 t + 2 hi + lo.
template <typename V>
ALLIUM_INLINE Element<V> multiply(const Element<V>& a, const Element<V>& b, const Bias<V>& bias) {
  check_factor(a);
  check_factor(b);
  V t5 = hi(bias.column5, a.l0, b.l4);
  V t6 = hi(bias.columns678, a.l1, b.l4);
  V t7 = hi(bias.columns678, a.l2, b.l4);
  V t8 = hi(bias.columns678, a.l3, b.l4);
  V t9 = hi(bias.column9, a.l4, b.l4);
  t5 = hi(t5, a.l1, b.l3);
  t6 = hi(t6, a.l2, b.l3);
  t7 = hi(t7, a.l3, b.l3);
  t8 = hi(t8, a.l4, b.l3);
  t5 = hi(t5, a.l2, b.l2);
  t6 = hi(t6, a.l3, b.l2);
  t7 = hi(t7, a.l4, b.l2);
  t5 = hi(t5, a.l3, b.l1);
  t6 = hi(t6, a.l4, b.l1);
  t5 = hi(t5, a.l4, b.l0);
  t9 = doubled(t9);
  t8 = doubled(t8);
  t7 = doubled(t7);
  t6 = doubled(t6);
  t5 = doubled(t5);
  t5 = lo(t5, a.l1, b.l4);
  t6 = lo(t6, a.l2, b.l4);
  t7 = lo(t7, a.l3, b.l4);
  t8 = lo(t8, a.l4, b.l4);
  t5 = lo(t5, a.l2, b.l3);
  t6 = lo(t6, a.l3, b.l3);
  t7 = lo(t7, a.l4, b.l3);
  t5 = lo(t5, a.l3, b.l2);
  t6 = lo(t6, a.l4, b.l2);
  t5 = lo(t5, a.l4, b.l1);

  V z4 = plus(left<3>(t9), t9);
  V z3 = plus(left<3>(t8), t8);
  V z2 = plus(left<3>(t7), t7);
  V z1 = plus(left<3>(t6), t6);
  V z0 = plus(left<3>(t5), t5);
  z4 = hi(z4, a.l0, b.l3);
  z3 = hi(z3, a.l0, b.l2);
  z2 = hi(z2, a.l0, b.l1);
  z1 = hi(z1, a.l0, b.l0);
  z4 = hi(z4, a.l1, b.l2);
  z3 = hi(z3, a.l1, b.l1);
  z2 = hi(z2, a.l1, b.l0);
  z4 = hi(z4, a.l2, b.l1);
  z3 = hi(z3, a.l2, b.l0);
  z4 = hi(z4, a.l3, b.l0);
  z0 = plus(doubled(z0), t5);
  z1 = plus(doubled(z1), t6);
  z2 = plus(doubled(z2), t7);
  z3 = plus(doubled(z3), t8);
  z4 = plus(doubled(z4), t9);
  z0 = lo(z0, a.l0, b.l0);
  z1 = lo(z1, a.l0, b.l1);
  z2 = lo(z2, a.l0, b.l2);
  z3 = lo(z3, a.l0, b.l3);
  z4 = lo(z4, a.l0, b.l4);
  z1 = lo(z1, a.l1, b.l0);
  z2 = lo(z2, a.l1, b.l1);
  z3 = lo(z3, a.l1, b.l2);
  z4 = lo(z4, a.l1, b.l3);
  z2 = lo(z2, a.l2, b.l0);
  z3 = lo(z3, a.l2, b.l1);
  z4 = lo(z4, a.l2, b.l2);
  z3 = lo(z3, a.l3, b.l0);
  z4 = lo(z4, a.l3, b.l1);
  z4 = lo(z4, a.l4, b.l0);
  return {z0, z1, z2, z3, z4};
}

// Limbs i < j meet twice. Doubling a factor would need a limb below 2^51, so sums are doubled: hi of different limbs
// twice, then hi of equal and lo of different limbs once, lo of equal limbs never.
template <typename V>
ALLIUM_INLINE Element<V> square(const Element<V>& a, const Bias<V>& bias) {
  check_factor(a);
  V t5 = hi(bias.column5, a.l0, a.l4);
  V t6 = hi(bias.columns678, a.l1, a.l4);
  V t7 = hi(bias.columns678, a.l2, a.l4);
  V t8 = hi(bias.columns678, a.l3, a.l4);
  V t9 = hi(bias.column9, a.l4, a.l4);
  t5 = hi(t5, a.l1, a.l3);
  t6 = hi(t6, a.l2, a.l3);
  t8 = doubled(t8);
  t7 = doubled(t7);
  t9 = doubled(t9);
  t5 = doubled(t5);
  t6 = doubled(t6);
  t7 = hi(t7, a.l3, a.l3);
  t5 = hi(t5, a.l2, a.l2);
  t6 = lo(t6, a.l2, a.l4);
  t7 = lo(t7, a.l3, a.l4);
  t5 = lo(t5, a.l1, a.l4);
  t8 = doubled(t8);
  t6 = doubled(t6);
  t7 = doubled(t7);
  t5 = lo(t5, a.l2, a.l3);
  t8 = lo(t8, a.l4, a.l4);
  t6 = lo(t6, a.l3, a.l3);
  t5 = doubled(t5);

  V z4 = hi(left<2>(t9), a.l0, a.l3);
  V z3 = hi(left<2>(t8), a.l0, a.l2);
  V z2 = hi(left<2>(t7), a.l0, a.l1);
  V z1 = hi(plus(left<3>(t6), t6), a.l0, a.l0);
  V z0 = plus(left<3>(t5), t5);
  z4 = hi(z4, a.l1, a.l2);
  z3 = plus(doubled(z3), t8);
  z2 = plus(doubled(z2), t7);
  z1 = lo(z1, a.l0, a.l1);
  z4 = plus(doubled(z4), t9);
  z3 = hi(z3, a.l1, a.l1);
  z2 = lo(z2, a.l0, a.l2);
  z0 = plus(doubled(z0), t5);
  z4 = lo(z4, a.l0, a.l4);
  z3 = lo(z3, a.l0, a.l3);
  z1 = plus(doubled(z1), t6);
  z2 = plus(doubled(z2), t7);
  z4 = lo(z4, a.l1, a.l3);
  z3 = lo(z3, a.l1, a.l2);
  z0 = lo(z0, a.l0, a.l0);
  z2 = lo(z2, a.l1, a.l1);
  z4 = plus(doubled(z4), t9);
  z3 = plus(doubled(z3), t8);
  z4 = lo(z4, a.l2, a.l2);
  return {z0, z1, z2, z3, z4};
}

// ---- what stands between products ----

// All limbs at once: each gives what is above 51 bits to the next, the last one 19 times that to the first.
template <typename V>
ALLIUM_INLINE Element<V> carried(const Element<V>& a) {
  const V c0 = right<kLimbBits>(a.l0);
  const V c1 = right<kLimbBits>(a.l1);
  const V c2 = right<kLimbBits>(a.l2);
  const V c3 = right<kLimbBits>(a.l3);
  const V c4 = right<kLimbBits>(a.l4);
  return {lo(low_bits(a.l0), c4, in_all_lanes(kFold)), plus(low_bits(a.l1), c0),
          plus(low_bits(a.l2), c1), plus(low_bits(a.l3), c2), plus(low_bits(a.l4), c3)};
}

ALLIUM_INLINE Field plus(const Field& a, const Field& b) {
  return {plus(a.l0, b.l0), plus(a.l1, b.l1), plus(a.l2, b.l2), plus(a.l3, b.l3), plus(a.l4, b.l4)};
}

// Requires a bias in `a`.
ALLIUM_INLINE Field minus(const Field& a, const Field& b) {
  return {minus(a.l0, b.l0), minus(a.l1, b.l1), minus(a.l2, b.l2), minus(a.l3, b.l3),
          minus(a.l4, b.l4)};
}

// The factors a + b and a - b of wide values. Requires a bias in `a`.
ALLIUM_INLINE FieldPair sum_and_difference(const Field& a, const Field& b) {
  return carried(pair(plus(a, b), minus(a, b)));
}

// a + 121665 e of factors, as a factor: 121665 e_i is 69 bits, of which hi() has those from 52 on.
ALLIUM_INLINE Field plus_a24_times(const Field& a, const Field& e) {
  const Eight a24 = in_all_lanes(kA24);
  const Eight h0 = hi(zero(), e.l0, a24);
  const Eight h1 = hi(zero(), e.l1, a24);
  const Eight h2 = hi(zero(), e.l2, a24);
  const Eight h3 = hi(zero(), e.l3, a24);
  const Eight h4 = hi(zero(), e.l4, a24);
  return carried(
      Field{lo(lo(a.l0, h4, in_all_lanes(2 * kFold)), e.l0, a24),
            lo(plus(doubled(h0), a.l1), e.l1, a24), lo(plus(doubled(h1), a.l2), e.l2, a24),
            lo(plus(doubled(h2), a.l3), e.l3, a24), lo(plus(doubled(h3), a.l4), e.l4, a24)});
}

// `a` where the lane's bit is 0, else `b`.
ALLIUM_INLINE Eight chosen(__mmask8 lanes, Eight a, Eight b) {
  return {_mm512_mask_blend_epi64(lanes, a.x, b.x)};
}

ALLIUM_INLINE Field chosen(__mmask8 lanes, const Field& a, const Field& b) {
  return {chosen(lanes, a.l0, b.l0), chosen(lanes, a.l1, b.l1), chosen(lanes, a.l2, b.l2),
          chosen(lanes, a.l3, b.l3), chosen(lanes, a.l4, b.l4)};
}

ALLIUM_INLINE Field small(long long value) {
  return {in_all_lanes(value), zero(), zero(), zero(), zero()};
}

ALLIUM_INLINE Field product(const Field& a, const Field& b) {
  return carried(multiply(a, b, no_bias()));
}

// The one representative below p. The carried value is below 2 p: it has p taken off once where adding 19 carries out of
// 255 bits.
Field canonical(const Field& a) {
  Eight over = right<kLimbBits>(plus(a.l0, in_all_lanes(kFold)));
  over = right<kLimbBits>(plus(a.l1, over));
  over = right<kLimbBits>(plus(a.l2, over));
  over = right<kLimbBits>(plus(a.l3, over));
  over = right<kLimbBits>(plus(a.l4, over));
  const Eight l0 = lo(a.l0, over, in_all_lanes(kFold));
  const Eight l1 = plus(a.l1, right<kLimbBits>(l0));
  const Eight l2 = plus(a.l2, right<kLimbBits>(l1));
  const Eight l3 = plus(a.l3, right<kLimbBits>(l2));
  const Eight l4 = plus(a.l4, right<kLimbBits>(l3));
  return {low_bits(l0), low_bits(l1), low_bits(l2), low_bits(l3), low_bits(l4)};
}

// Requires canonical limbs.
ALLIUM_INLINE __mmask8 lanes_not_zero(const Field& a) {
  const Eight any = either(either(either(a.l0, a.l1), either(a.l2, a.l3)), a.l4);
  return _mm512_test_epi64_mask(any.x, any.x);
}

// ---- the ladder ----

/// X : Z of one point a lane, both wide; X has a bias.
struct Point {
  Field x;
  Field z;
};

// From X + Z and X - Z of a point, the squares of both and what RFC 7748 makes of them.
struct Doubling {
  Field aa, bb;  ///< factors
  Field e, f;    ///< AA - BB, and AA + 121665 E
};

ALLIUM_INLINE Doubling begin_doubling(const FieldPair& ab) {
  const FieldPair squares = square(ab, pair(square_bias(), no_bias()));
  const FieldPair factors = carried(squares);
  const Field e = carried(minus(first(squares), second(squares)));
  return {first(factors), second(factors), e, plus_a24_times(first(factors), e)};
}

ALLIUM_INLINE Point twice(const Point& point) {
  const Doubling doubling = begin_doubling(sum_and_difference(point.x, point.z));
  const FieldPair both = multiply(pair(doubling.aa, doubling.e), pair(doubling.bb, doubling.f),
                                  pair(mul_bias(), no_bias()));
  return {first(both), second(both)};
}

// RFC 7748 section 5. Only the doubled point depends on the swap: DA + CB stays the same and DA - CB, which is squared,
// changes its sign. So two factors are chosen instead of four coordinates swapped.
ALLIUM_INLINE void step(__mmask8 swap, const Field& u, Point& doubled_point, Point& other) {
  const FieldPair ab = sum_and_difference(doubled_point.x, doubled_point.z);
  const FieldPair cd = sum_and_difference(other.x, other.z);
  const Doubling doubling = begin_doubling(
      pair(chosen(swap, first(ab), first(cd)), chosen(swap, second(ab), second(cd))));
  const FieldPair cross = multiply(ab, pair(second(cd), first(cd)), pair(mul_bias(), no_bias()));
  const FieldPair squares =
      square(sum_and_difference(first(cross), second(cross)), pair(square_bias(), no_bias()));
  doubled_point.x = multiply(doubling.aa, doubling.bb, mul_bias());
  const FieldPair z = multiply(pair(doubling.e, u), pair(doubling.f, carried(second(squares))),
                               pair(no_bias(), no_bias()));
  doubled_point.z = first(z);
  other.x = first(squares);
  other.z = second(z);
}

constexpr unsigned kTopBit = 254;  // of a clamped scalar always 1
constexpr unsigned kLowBits = 3;   // of a clamped scalar always 0

ALLIUM_INLINE unsigned bit_of(const std::uint8_t* scalar, unsigned index) {
  return static_cast<unsigned>(scalar[index / 8]) >> (index % 8) & 1U;
}

// scalar * u, X and Z carried. The known bits of a clamped scalar need no ladder: the first step makes 2P of P, the last
// three double.
void ladder(const std::uint8_t* clamped, const Field& u, Point& result) {
  const Field two_p{in_all_lanes(2 * kPrimeLow), in_all_lanes(2 * kLimbMask),
                    in_all_lanes(2 * kLimbMask), in_all_lanes(2 * kLimbMask),
                    in_all_lanes(2 * kLimbMask)};
  Point other{plus(u, two_p), small(1)};
  Point doubled_point = twice(other);
  unsigned last = 1;
  for (unsigned index = kTopBit - 1; index >= kLowBits; --index) {
    const unsigned bit = bit_of(clamped, index);
    step(static_cast<__mmask8>(0U - (bit ^ last)), u, doubled_point, other);
    last = bit;
  }
  const auto swap = static_cast<__mmask8>(0U - last);
  Point point{chosen(swap, doubled_point.x, other.x), chosen(swap, doubled_point.z, other.z)};
  for (unsigned i = 0; i < kLowBits; ++i) {
    point = twice(point);
  }
  result = {carried(point.x), carried(point.z)};
}

// ---- one inversion for all lanes of all groups ----

__extension__ using Product = unsigned __int128;

/// One element for all: its inversion is a chain of 254 squarings, each waiting for the last, and one element in general
/// registers has less than half the latency of eight in vectors.
struct Scalar {
  std::uint64_t limb[kLimbs];
};

ALLIUM_INLINE Product times(std::uint64_t a, std::uint64_t b) {
  return static_cast<Product>(a) * b;
}

// Limbs of factors are < 2^52, so sums of five products, four of them 19 times, are < 2^111.
ALLIUM_INLINE Scalar carried(Product z0, Product z1, Product z2, Product z3, Product z4) {
  constexpr std::uint64_t kMask = static_cast<std::uint64_t>(kLimbMask);
  constexpr std::uint64_t kFoldScalar = static_cast<std::uint64_t>(kFold);
  const auto low = [](Product z) { return static_cast<std::uint64_t>(z) & kMask; };
  const auto above = [](Product z) { return static_cast<std::uint64_t>(z >> kLimbBits); };
  z1 += above(z0);
  z2 += above(z1);
  z3 += above(z2);
  z4 += above(z3);
  const std::uint64_t l0 = low(z0) + kFoldScalar * above(z4);
  return {{l0 & kMask, low(z1) + (l0 >> kLimbBits), low(z2), low(z3), low(z4)}};
}

ALLIUM_INLINE Scalar multiply(const Scalar& a, const Scalar& b) {
  const auto* x = a.limb;
  const auto* y = b.limb;
  const std::uint64_t y1 = 19 * y[1];
  const std::uint64_t y2 = 19 * y[2];
  const std::uint64_t y3 = 19 * y[3];
  const std::uint64_t y4 = 19 * y[4];
  return carried(
      times(x[0], y[0]) + times(x[1], y4) + times(x[2], y3) + times(x[3], y2) + times(x[4], y1),
      times(x[0], y[1]) + times(x[1], y[0]) + times(x[2], y4) + times(x[3], y3) + times(x[4], y2),
      times(x[0], y[2]) + times(x[1], y[1]) + times(x[2], y[0]) + times(x[3], y4) + times(x[4], y3),
      times(x[0], y[3]) + times(x[1], y[2]) + times(x[2], y[1]) + times(x[3], y[0]) +
          times(x[4], y4),
      times(x[0], y[4]) + times(x[1], y[3]) + times(x[2], y[2]) + times(x[3], y[1]) +
          times(x[4], y[0]));
}

Scalar squared(Scalar a, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const auto* x = a.limb;
    const std::uint64_t x0 = 2 * x[0];
    const std::uint64_t x1 = 2 * x[1];
    const std::uint64_t x3 = 19 * x[3];
    const std::uint64_t x4 = 19 * x[4];
    a = carried(times(x[0], x[0]) + times(x1, x4) + times(2 * x[2], x3),
                times(x0, x[1]) + times(2 * x[2], x4) + times(x[3], x3),
                times(x0, x[2]) + times(x[1], x[1]) + times(2 * x[3], x4),
                times(x0, x[3]) + times(x1, x[2]) + times(x[4], x4),
                times(x0, x[4]) + times(x1, x[3]) + times(x[2], x[2]));
  }
  return a;
}

// a^(p - 2): the exponent is 250 ones, then 01011.
Scalar inverse(const Scalar& a) {
  const Scalar power2 = squared(a, 1);
  const Scalar power9 = multiply(squared(power2, 2), a);
  const Scalar power11 = multiply(power9, power2);
  const Scalar ones5 = multiply(squared(power11, 1), power9);
  const Scalar ones10 = multiply(squared(ones5, 5), ones5);
  const Scalar ones20 = multiply(squared(ones10, 10), ones10);
  const Scalar ones40 = multiply(squared(ones20, 20), ones20);
  const Scalar ones50 = multiply(squared(ones40, 10), ones10);
  const Scalar ones100 = multiply(squared(ones50, 50), ones50);
  const Scalar ones200 = multiply(squared(ones100, 100), ones100);
  const Scalar ones250 = multiply(squared(ones200, 50), ones50);
  return multiply(squared(ones250, 5), power11);
}

ALLIUM_INLINE std::uint64_t first_lane(Eight a) {
  return static_cast<std::uint64_t>(a.x[0]);
}

ALLIUM_INLINE Eight in_all_lanes(std::uint64_t limb) {
  return in_all_lanes(static_cast<long long>(limb));
}

template <typename Permutation>
ALLIUM_INLINE Field permuted(const Field& a, Permutation permutation) {
  return {permutation(a.l0), permutation(a.l1), permutation(a.l2), permutation(a.l3),
          permutation(a.l4)};
}

// 1 / a in every lane. Requires that no lane is zero. Lane i learns the product of the other seven in three exchanges,
// with lanes i xor 4, 2 and 1, and of all eight in the same three.
Field inverse(const Field& a) {
  const Field across4 = permuted(a, [](Eight limb) {
    return Eight{_mm512_maskz_shuffle_i64x2(kAllLanes, limb.x, limb.x, _MM_SHUFFLE(1, 0, 3, 2))};
  });
  const Field of2 = product(a, across4);
  const Field across2 = permuted(of2, [](Eight limb) {
    return Eight{_mm512_maskz_permutex_epi64(kAllLanes, limb.x, _MM_SHUFFLE(1, 0, 3, 2))};
  });
  const Field of4 = product(of2, across2);
  const Field across1 = permuted(of4, [](Eight limb) {
    return Eight{_mm512_maskz_permutex_epi64(kAllLanes, limb.x, _MM_SHUFFLE(2, 3, 0, 1))};
  });
  const Field all = product(of4, across1);
  const Field others = product(product(across4, across2), across1);
  const Scalar inverted =
      inverse(Scalar{{first_lane(all.l0), first_lane(all.l1), first_lane(all.l2),
                      first_lane(all.l3), first_lane(all.l4)}});
  return product(others, Field{in_all_lanes(inverted.limb[0]), in_all_lanes(inverted.limb[1]),
                               in_all_lanes(inverted.limb[2]), in_all_lanes(inverted.limb[3]),
                               in_all_lanes(inverted.limb[4])});
}

// Montgomery's trick: x becomes X / Z in every lane. A Z of zero would make every product zero, and with it the answers
// of all neighbours: such lanes have one instead, and X zero.
void divide(Point* points, std::size_t group_count) {
  Field before[kGroupsMax];  // the product of Z of all groups before this one
  Field running = small(1);
  for (std::size_t i = 0; i < group_count; ++i) {
    Point& point = points[i];
    const __mmask8 sound = lanes_not_zero(canonical(point.z));
    point.z = chosen(sound, small(1), point.z);
    point.x = chosen(sound, small(0), point.x);
    before[i] = running;
    running = product(running, point.z);
  }
  running = inverse(running);
  for (std::size_t i = group_count; i-- > 0;) {
    points[i].x = product(points[i].x, product(running, before[i]));
    running = product(running, points[i].z);
  }
}

// ---- bytes ----

/// The 64-bit words of eight encoded elements: word i of lane j at [i][j].
struct alignas(64) Words {
  std::uint64_t word[kPointBytes / 8][kLanes];
};

ALLIUM_INLINE Eight load_row(const Words& words, std::size_t row) {
  return {_mm512_load_si512(words.word[row])};
}

ALLIUM_INLINE void store_row(Words& words, std::size_t row, Eight values) {
  _mm512_store_si512(words.word[row], values.x);
}

// Lanes beyond `count` are zero. Bit 255 falls away; what is left may be p or more.
Field decoded(const std::uint8_t* bytes, std::size_t count) {
  Words words{};
  for (std::size_t lane = 0; lane < count; ++lane) {
    for (std::size_t row = 0; row < kPointBytes / 8; ++row) {
      __builtin_memcpy(&words.word[row][lane], bytes + kPointBytes * lane + 8 * row, 8);
    }
  }
  const Eight w0 = load_row(words, 0);
  const Eight w1 = load_row(words, 1);
  const Eight w2 = load_row(words, 2);
  const Eight w3 = load_row(words, 3);
  return {low_bits(w0), low_bits(either(right<51>(w0), left<13>(w1))),
          low_bits(either(right<38>(w1), left<26>(w2))),
          low_bits(either(right<25>(w2), left<39>(w3))), low_bits(right<12>(w3))};
}

// Returns the lanes that are not zero.
unsigned encode(const Field& a, std::uint8_t* bytes, std::size_t count) {
  const Field least = canonical(a);
  Words words;
  store_row(words, 0, either(least.l0, left<51>(least.l1)));
  store_row(words, 1, either(right<13>(least.l1), left<38>(least.l2)));
  store_row(words, 2, either(right<26>(least.l2), left<25>(least.l3)));
  store_row(words, 3, either(right<39>(least.l3), left<12>(least.l4)));
  for (std::size_t lane = 0; lane < count; ++lane) {
    for (std::size_t row = 0; row < kPointBytes / 8; ++row) {
      __builtin_memcpy(bytes + kPointBytes * lane + 8 * row, &words.word[row][lane], 8);
    }
  }
  return lanes_not_zero(least) & ((1U << count) - 1);
}

// Eights 0 to 15 are whole in vzeroall's eyes; the other sixteen and the masks, which had the scalar's bits, are not.
ALLIUM_INLINE void clear_registers() {
  __asm__ volatile(
      "vzeroall\n\t"
      "vpxorq %%zmm16, %%zmm16, %%zmm16\n\t"
      "vpxorq %%zmm17, %%zmm17, %%zmm17\n\t"
      "vpxorq %%zmm18, %%zmm18, %%zmm18\n\t"
      "vpxorq %%zmm19, %%zmm19, %%zmm19\n\t"
      "vpxorq %%zmm20, %%zmm20, %%zmm20\n\t"
      "vpxorq %%zmm21, %%zmm21, %%zmm21\n\t"
      "vpxorq %%zmm22, %%zmm22, %%zmm22\n\t"
      "vpxorq %%zmm23, %%zmm23, %%zmm23\n\t"
      "vpxorq %%zmm24, %%zmm24, %%zmm24\n\t"
      "vpxorq %%zmm25, %%zmm25, %%zmm25\n\t"
      "vpxorq %%zmm26, %%zmm26, %%zmm26\n\t"
      "vpxorq %%zmm27, %%zmm27, %%zmm27\n\t"
      "vpxorq %%zmm28, %%zmm28, %%zmm28\n\t"
      "vpxorq %%zmm29, %%zmm29, %%zmm29\n\t"
      "vpxorq %%zmm30, %%zmm30, %%zmm30\n\t"
      "vpxorq %%zmm31, %%zmm31, %%zmm31\n\t"
      "kxorw %%k1, %%k1, %%k1\n\t"
      "kxorw %%k2, %%k2, %%k2\n\t"
      "kxorw %%k3, %%k3, %%k3\n\t"
      "kxorw %%k4, %%k4, %%k4\n\t"
      "kxorw %%k5, %%k5, %%k5\n\t"
      "kxorw %%k6, %%k6, %%k6\n\t"
      "kxorw %%k7, %%k7, %%k7"
      :
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20",
        "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",
        "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "memory");
}

#undef ALLIUM_INLINE

}  // namespace

std::uint32_t multiply(const std::uint8_t* scalar, const std::uint8_t* points, std::uint8_t* shared,
                       std::size_t point_count) noexcept {
  std::uint8_t clamped[kPointBytes];
  __builtin_memcpy(clamped, scalar, kPointBytes);
  clamped[0] &= 0xf8;
  clamped[31] = static_cast<std::uint8_t>((clamped[31] & 0x7f) | 0x40);
  const std::size_t group_count = (point_count + kLanes - 1) / kLanes;
  const auto lanes_of = [point_count](std::size_t group) {
    const std::size_t rest = point_count - group * kLanes;
    return rest < kLanes ? rest : kLanes;
  };
  Point results[kGroupsMax];
  for (std::size_t i = 0; i < group_count; ++i) {
    ladder(clamped, decoded(points + i * kLanes * kPointBytes, lanes_of(i)), results[i]);
  }
  divide(results, group_count);
  std::uint32_t good = 0;
  for (std::size_t i = 0; i < group_count; ++i) {
    good |= encode(results[i].x, shared + i * kLanes * kPointBytes, lanes_of(i)) << (i * kLanes);
  }
  clear_registers();
  return good;
}

}  // namespace allium::crypto_accel::x25519_avx512_ifma
