// SPDX-License-Identifier: Apache-2.0

// Four blocks a register. Compiled with AVX-512; reached only where the CPU has it (onion_vector.cpp).

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"

namespace allium::crypto_accel {
namespace {

using Vec = __m512i;

constexpr std::size_t kWidth = 4;  // blocks a register

// Groups in step: what hides the latency of an AES round.
constexpr std::size_t kChains = 8;
#define ALLIUM_INLINE inline __attribute__((always_inline))

ALLIUM_INLINE Vec load(const std::uint8_t* source) {
  return _mm512_loadu_si512(source);
}

ALLIUM_INLINE void store(std::uint8_t* target, Vec value) {
  _mm512_storeu_si512(target, value);
}

ALLIUM_INLINE Vec zero() {
  return _mm512_setzero_si512();
}

ALLIUM_INLINE __m128i load_block(const std::uint8_t* source) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
}

ALLIUM_INLINE void store_block(std::uint8_t* target, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(target), block);
}

ALLIUM_INLINE Vec every_lane(__m128i block) {
  return _mm512_broadcast_i32x4(block);
}

// The blocks at kWidth places.
ALLIUM_INLINE Vec load_lanes(const std::uint8_t* const* source) {
  Vec value = _mm512_castsi128_si512(load_block(source[0]));
  value = _mm512_inserti32x4(value, load_block(source[1]), 1);
  value = _mm512_inserti32x4(value, load_block(source[2]), 2);
  return _mm512_inserti32x4(value, load_block(source[3]), 3);
}

// kWidth blocks at each of kWidth places, turned: row i has block i of every place.
ALLIUM_INLINE void load_square(const std::uint8_t* const* source, Vec* rows) {
  const Vec a = load(source[0]);
  const Vec b = load(source[1]);
  const Vec c = load(source[2]);
  const Vec d = load(source[3]);
  const Vec ab_low = _mm512_shuffle_i32x4(a, b, 0x44);
  const Vec ab_high = _mm512_shuffle_i32x4(a, b, 0xee);
  const Vec cd_low = _mm512_shuffle_i32x4(c, d, 0x44);
  const Vec cd_high = _mm512_shuffle_i32x4(c, d, 0xee);
  rows[0] = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  rows[1] = _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd);
  rows[2] = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  rows[3] = _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd);
}

// Two words of 64 bits for each lane of a mask.
ALLIUM_INLINE __mmask8 words_of(std::uint32_t lanes) {
  constexpr std::uint32_t kSpread[16] = {0x00, 0x03, 0x0c, 0x0f, 0x30, 0x33, 0x3c, 0x3f,
                                         0xc0, 0xc3, 0xcc, 0xcf, 0xf0, 0xf3, 0xfc, 0xff};
  return static_cast<__mmask8>(kSpread[lanes]);
}

// Only the lanes of the mask.
ALLIUM_INLINE void store_lanes(std::uint8_t* target, Vec value, std::uint32_t lanes) {
  _mm512_mask_storeu_epi64(target, words_of(lanes), value);
}

// The lanes of the mask, `stride` bytes apart.
ALLIUM_INLINE void store_spread(std::uint8_t* target, std::size_t stride, Vec value,
                                std::uint32_t lanes) {
  if ((lanes & 1) != 0) {
    store_block(target, _mm512_castsi512_si128(value));
  }
  if ((lanes & 2) != 0) {
    store_block(target + stride, _mm512_extracti32x4_epi32(value, 1));
  }
  if ((lanes & 4) != 0) {
    store_block(target + 2 * stride, _mm512_extracti32x4_epi32(value, 2));
  }
  if ((lanes & 8) != 0) {
    store_block(target + 3 * stride, _mm512_extracti32x4_epi32(value, 3));
  }
}

// The first `blocks` blocks, fewer than a register has; the rest is zero, and not read.
ALLIUM_INLINE Vec load_part(const std::uint8_t* source, std::size_t blocks) {
  return _mm512_maskz_loadu_epi64(static_cast<__mmask8>((1U << 2 * blocks) - 1), source);
}

ALLIUM_INLINE void store_part(std::uint8_t* target, Vec value, std::size_t blocks) {
  _mm512_mask_storeu_epi64(target, static_cast<__mmask8>((1U << 2 * blocks) - 1), value);
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b) {
  return _mm512_xor_si512(a, b);
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b, Vec c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

ALLIUM_INLINE Vec bits_and(Vec a, Vec b) {
  return _mm512_and_si512(a, b);
}

ALLIUM_INLINE Vec aes_round(Vec state, Vec key) {
  return _mm512_aesenc_epi128(state, key);
}

ALLIUM_INLINE Vec aes_last_round(Vec state, Vec key) {
  return _mm512_aesenclast_epi128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_round(Vec state, Vec key) {
  return _mm512_aesdec_epi128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_last_round(Vec state, Vec key) {
  return _mm512_aesdeclast_epi128(state, key);
}

// Inside each lane: bytes towards the higher end, zeros behind them.
template <int kBytes>
ALLIUM_INLINE Vec bytes_up(Vec value) {
  return _mm512_bslli_epi128(value, kBytes);
}

ALLIUM_INLINE Vec permute_bytes(Vec value, Vec places) {
  return _mm512_shuffle_epi8(value, places);
}

template <int kPlaces>
ALLIUM_INLINE Vec permute_words32(Vec value) {
  return _mm512_shuffle_epi32(value, static_cast<_MM_PERM_ENUM>(kPlaces));
}

template <int kHalves>
ALLIUM_INLINE Vec carryless(Vec a, Vec b) {
  return _mm512_clmulepi64_epi128(a, b, kHalves);
}

ALLIUM_INLINE Vec twice_words64(Vec value) {
  return _mm512_add_epi64(value, value);
}

ALLIUM_INLINE Vec top_bits_words64(Vec value) {
  return _mm512_srli_epi64(value, 63);
}

// All ones in each 32-bit word whose lowest bit is set, where it has no other.
ALLIUM_INLINE Vec mask_words32(Vec value) {
  return _mm512_sub_epi32(zero(), value);
}

// The exclusive or of all lanes.
ALLIUM_INLINE __m128i sum_of_lanes(Vec value) {
  const __m256i half =
      _mm256_xor_si256(_mm512_castsi512_si256(value), _mm512_extracti64x4_epi64(value, 1));
  return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// VZEROALL does not know the upper half of the registers.
void clear_registers() {
  asm volatile(
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
      :
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20",
        "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",
        "xmm31");
}

}  // namespace
}  // namespace allium::crypto_accel

#include "crypto_accel/kernels/onion_vector_body.hpp"

namespace allium::crypto_accel {

const VectorFunctions kOnionVaesAvx512 = kFunctions;

}  // namespace allium::crypto_accel
