// SPDX-License-Identifier: Apache-2.0
#pragma once

// GHASH over registers of kWidth blocks, for onion_vector_body.hpp: products and powers in its field, the hash of one packet.

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"
#include "crypto_accel/kernels/onion_vector_aes.hpp"

namespace allium::crypto_accel {
namespace {

ALLIUM_INLINE Vec reverse_bytes(Vec value) {
  return permute_bytes(
      value, every_lane(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

// A product of 255 bits before its reduction: low, middle (times x^64), high.
struct Product {
  Vec low;
  Vec middle;
  Vec high;
};

ALLIUM_INLINE Product multiply(Vec a, Vec b) {
  return {carryless<0x00>(a, b), bits_xor(carryless<0x01>(a, b), carryless<0x10>(a, b)),
          carryless<0x11>(a, b)};
}

ALLIUM_INLINE Product multiply_add(const Product& sum, Vec a, Vec b) {
  return {bits_xor(sum.low, carryless<0x00>(a, b)),
          bits_xor(sum.middle, carryless<0x01>(a, b), carryless<0x10>(a, b)),
          bits_xor(sum.high, carryless<0x11>(a, b))};
}

// The mixed terms of a square cancel.
ALLIUM_INLINE Product square_unreduced(Vec a) {
  return {carryless<0x00>(a, a), zero(), carryless<0x11>(a, a)};
}

// Times x^-128 modulo x^128 + x^127 + x^126 + x^121 + 1: twice the lowest 64 bits are cancelled by a multiple of
// the polynomial, whose lowest and highest terms are the exchange of halves.
ALLIUM_INLINE Vec reduce(const Product& product) {
  const Vec polynomial = every_lane(_mm_set1_epi64x(static_cast<long long>(0xc200000000000000)));
  constexpr int kExchangeHalves = 0x4e;
  const Vec middle = bits_xor(product.middle, permute_words32<kExchangeHalves>(product.low),
                              carryless<0x00>(product.low, polynomial));
  return bits_xor(product.high, permute_words32<kExchangeHalves>(middle),
                  carryless<0x00>(middle, polynomial));
}

ALLIUM_INLINE Vec square(Vec a) {
  return reduce(square_unreduced(a));
}

// The key of POLYVAL for a key of GHASH whose bytes were reversed: times x.
ALLIUM_INLINE Vec times_x(Vec value) {
  const Vec top_bits = top_bits_words64(value);
  const Vec doubled = bits_xor(twice_words64(value), bytes_up<8>(top_bits));
  constexpr int kThirdWordEverywhere = 0xaa;
  const Vec overflow = mask_words32(permute_words32<kThirdWordEverywhere>(top_bits));
  const Vec polynomial = every_lane(_mm_set_epi64x(static_cast<long long>(0xc200000000000000), 1));
  return bits_xor(doubled, bits_and(overflow, polynomial));
}

// Powers of H of a lane, as the hash of a packet reads them: P_L .. P_1 for the end, then P_2L, P_3L, P_4L.
constexpr std::size_t kPowerBytes = kHashPowers * kBlock;
constexpr std::size_t kHashVecs = 4;  // registers between two reductions
static_assert(kWidth + kHashVecs - 1 <= kHashPowers);

// `is_long`: the last two too, which a text of at most three registers has no use for.
template <std::size_t kCount>
ALLIUM_INLINE void make_powers(VectorMemory* memory, const std::uint8_t* groups,
                               std::uint32_t lanes, bool is_long) {
#pragma GCC unroll 4
  for (std::size_t n = 0; n < kCount; ++n) {
    std::uint8_t* powers = memory->powers + groups[n] * kWidth * kPowerBytes;
    const std::uint32_t wanted = group_lanes(lanes, groups[n]);
    const auto keep = [&](std::size_t place, Vec power) __attribute__((always_inline)) {
      store_spread(powers + place * kBlock, kPowerBytes, power, wanted);
    };
    const Vec first = times_x(reverse_bytes(load(memory->hash + groups[n] * kVecBytes)));
    Vec whole = first;
    keep(kWidth - 1, first);
    if constexpr (kWidth >= 2) {
      whole = square(first);
      keep(kWidth - 2, whole);
    }
    if constexpr (kWidth == 4) {
      keep(1, reduce(multiply(whole, first)));
      whole = square(whole);
      keep(0, whole);
    }
    const Vec second = square(whole);
    keep(kWidth, second);
    if (is_long) {
      keep(kWidth + 1, reduce(multiply(second, whole)));
      keep(kWidth + 2, square(second));
    }
  }
}

// GHASH_H(ctx, x_r) of one packet, in POLYVAL's form: register after register is added to a sum of kWidth blocks that
// is multiplied by P_L, four at a time; at the end block j of it is multiplied by P_(L-j). Zero blocks in front change
// nothing, so the first register is the short one and the others are read as they lie.
class Hash {
 public:
  // Takes in as much as leaves a whole number of fours.
  ALLIUM_INLINE Hash(const std::uint8_t* powers, const std::uint8_t* ctx, const std::uint8_t* x_r,
                     std::size_t x_r_blocks)
      : powers_(powers), x_r_end_(x_r + x_r_blocks * kBlock) {
    const std::uint64_t bits = 8 * kBlock * x_r_blocks;
    lengths_ = _mm_set_epi64x(static_cast<long long>(__builtin_bswap64(bits)),
                              static_cast<long long>(__builtin_bswap64(8 * kBlock)));
    const std::size_t vec_count = (x_r_blocks + 2 + kWidth - 1) / kWidth;
    const std::size_t zeros = vec_count * kWidth - (x_r_blocks + 2);
    // Zeros, then ctx, then the beginning of X_R.
    const std::uint8_t* at[kWidth];
    for (std::size_t i = 0; i < kWidth; ++i) {
      at[i] = i < zeros ? kZeros : i == zeros ? ctx : x_r + (i - zeros - 1) * kBlock;
    }
    sum_ = reverse_bytes(load_lanes(at));
    next_ = x_r + (kWidth - zeros - 1) * kBlock;
    left_ = vec_count - 1;
    switch (left_ % kHashVecs) {
      case 1:
        add<1>();
        break;
      case 2:
        add<2>();
        break;
      case 3:
        add<3>();
        break;
      default:
        break;
    }
  }

  [[nodiscard]] ALLIUM_INLINE bool has_more() const { return left_ > 0; }

  ALLIUM_INLINE void step() { add<kHashVecs>(); }

  // A step in pieces, to stand between the rounds of another packet's cipher.
  template <std::size_t kRound>
  ALLIUM_INLINE void between() {
    static_assert(kHashVecs == 4);
    if constexpr (kRound == 1) {
      product_ = multiply(sum_, power(4));
    } else if constexpr (kRound == 3) {
      product_ = multiply_add(product_, next_vec(), power(3));
    } else if constexpr (kRound == 5) {
      product_ = multiply_add(product_, next_vec(), power(2));
    } else if constexpr (kRound == 7) {
      product_ = multiply_add(product_, next_vec(), power(1));
    } else if constexpr (kRound == 9) {
      left_ -= kHashVecs;
      sum_ = bits_xor(reduce(product_), left_ == 0 ? last_vec() : next_vec());
    }
  }

  [[nodiscard]] ALLIUM_INLINE __m128i finish() const {
    return sum_of_lanes(reduce(multiply(sum_, load(powers_))));
  }

 private:
  template <std::size_t kCount>
  ALLIUM_INLINE void add() {
    left_ -= kCount;
    Product product = multiply(sum_, power(kCount));
#pragma GCC unroll 4
    for (std::size_t i = 1; i < kCount; ++i) {
      product = multiply_add(product, next_vec(), power(kCount - i));
    }
    sum_ = bits_xor(reduce(product), left_ == 0 ? last_vec() : next_vec());
  }

  ALLIUM_INLINE Vec next_vec() {
    const Vec value = reverse_bytes(load(next_));
    next_ += kVecBytes;
    return value;
  }

  // The end of X_R, then the lengths.
  [[nodiscard]] ALLIUM_INLINE Vec last_vec() const {
    alignas(16) std::uint8_t lengths[kBlock];
    _mm_store_si128(reinterpret_cast<__m128i*>(lengths), lengths_);
    const std::uint8_t* at[kWidth];
    for (std::size_t i = 0; i < kWidth; ++i) {
      at[i] = i + 1 == kWidth ? lengths : x_r_end_ - (kWidth - 1 - i) * kBlock;
    }
    return reverse_bytes(load_lanes(at));
  }

  // P_kL in every lane.
  [[nodiscard]] ALLIUM_INLINE Vec power(std::size_t k) const {
    return block_of_all(powers_ + (k == 1 ? 0 : kWidth + k - 2) * kBlock);
  }

  const std::uint8_t* powers_;
  const std::uint8_t* next_;
  const std::uint8_t* x_r_end_;
  __m128i lengths_;
  std::size_t left_;  // registers
  Vec sum_;
  Product product_;
};

}  // namespace
}  // namespace allium::crypto_accel
