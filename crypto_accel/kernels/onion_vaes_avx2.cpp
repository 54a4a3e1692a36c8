// SPDX-License-Identifier: Apache-2.0

// Two blocks a register. Compiled with AVX2 and VAES; reached only where the CPU has them (onion_vector.cpp).

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"

namespace allium::crypto_accel {
namespace {

using Vec = __m256i;

constexpr std::size_t kWidth = 2;  // blocks a register

// Groups in step: what hides the latency of an AES round.
constexpr std::size_t kChains = 8;

#define ALLIUM_INLINE inline __attribute__((always_inline))

ALLIUM_INLINE Vec load(const std::uint8_t* source) {
  return _mm256_loadu_si256(reinterpret_cast<const Vec*>(source));
}

ALLIUM_INLINE void store(std::uint8_t* target, Vec value) {
  _mm256_storeu_si256(reinterpret_cast<Vec*>(target), value);
}

ALLIUM_INLINE Vec zero() {
  return _mm256_setzero_si256();
}

ALLIUM_INLINE __m128i load_block(const std::uint8_t* source) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
}

ALLIUM_INLINE void store_block(std::uint8_t* target, __m128i block) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(target), block);
}

ALLIUM_INLINE Vec every_lane(__m128i block) {
  return _mm256_broadcastsi128_si256(block);
}

// The blocks at kWidth places.
ALLIUM_INLINE Vec load_lanes(const std::uint8_t* const* source) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load_block(source[0])),
                                 load_block(source[1]), 1);
}

// kWidth blocks at each of kWidth places, turned: row i has block i of every place.
ALLIUM_INLINE void load_square(const std::uint8_t* const* source, Vec* rows) {
  const Vec a = load(source[0]);
  const Vec b = load(source[1]);
  rows[0] = _mm256_permute2x128_si256(a, b, 0x20);
  rows[1] = _mm256_permute2x128_si256(a, b, 0x31);
}

// The lanes of the mask, `stride` bytes apart.
ALLIUM_INLINE void store_spread(std::uint8_t* target, std::size_t stride, Vec value,
                                std::uint32_t lanes) {
  if ((lanes & 1) != 0) {
    store_block(target, _mm256_castsi256_si128(value));
  }
  if ((lanes & 2) != 0) {
    store_block(target + stride, _mm256_extracti128_si256(value, 1));
  }
}

// Only the lanes of the mask.
ALLIUM_INLINE void store_lanes(std::uint8_t* target, Vec value, std::uint32_t lanes) {
  store_spread(target, sizeof(__m128i), value, lanes);
}

// The first block; the rest is zero, and not read.
ALLIUM_INLINE Vec load_part(const std::uint8_t* source, std::size_t /*blocks*/) {
  return _mm256_zextsi128_si256(load_block(source));
}

ALLIUM_INLINE void store_part(std::uint8_t* target, Vec value, std::size_t /*blocks*/) {
  store_block(target, _mm256_castsi256_si128(value));
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b) {
  return _mm256_xor_si256(a, b);
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b, Vec c) {
  return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

ALLIUM_INLINE Vec bits_and(Vec a, Vec b) {
  return _mm256_and_si256(a, b);
}

ALLIUM_INLINE Vec aes_round(Vec state, Vec key) {
  return _mm256_aesenc_epi128(state, key);
}

ALLIUM_INLINE Vec aes_last_round(Vec state, Vec key) {
  return _mm256_aesenclast_epi128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_round(Vec state, Vec key) {
  return _mm256_aesdec_epi128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_last_round(Vec state, Vec key) {
  return _mm256_aesdeclast_epi128(state, key);
}

// Inside each lane: bytes towards the higher end, zeros behind them.
template <int kBytes>
ALLIUM_INLINE Vec bytes_up(Vec value) {
  return _mm256_bslli_epi128(value, kBytes);
}

ALLIUM_INLINE Vec permute_bytes(Vec value, Vec places) {
  return _mm256_shuffle_epi8(value, places);
}

template <int kPlaces>
ALLIUM_INLINE Vec permute_words32(Vec value) {
  return _mm256_shuffle_epi32(value, kPlaces);
}

template <int kHalves>
ALLIUM_INLINE Vec carryless(Vec a, Vec b) {
  return _mm256_clmulepi64_epi128(a, b, kHalves);
}

ALLIUM_INLINE Vec twice_words64(Vec value) {
  return _mm256_add_epi64(value, value);
}

ALLIUM_INLINE Vec top_bits_words64(Vec value) {
  return _mm256_srli_epi64(value, 63);
}

// All ones in each 32-bit word whose lowest bit is set, where it has no other.
ALLIUM_INLINE Vec mask_words32(Vec value) {
  return _mm256_sub_epi32(zero(), value);
}

// The exclusive or of all lanes.
ALLIUM_INLINE __m128i sum_of_lanes(Vec value) {
  return _mm_xor_si128(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
}

void clear_registers() {
  _mm256_zeroall();
}

}  // namespace
}  // namespace allium::crypto_accel

#include "crypto_accel/kernels/onion_vector_body.hpp"

namespace allium::crypto_accel {

const VectorFunctions kOnionVaesAvx2 = kFunctions;

}  // namespace allium::crypto_accel
