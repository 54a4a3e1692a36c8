// SPDX-License-Identifier: Apache-2.0

// One block a register. Compiled with AVX2, for its three-operand forms; reached only where the CPU has it
// (onion_vector.cpp).

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"

namespace allium::crypto_accel {
namespace {

using Vec = __m128i;

constexpr std::size_t kWidth = 1;  // blocks a register

// Groups in step: what hides the latency of an AES round.
constexpr std::size_t kChains = 8;

#define ALLIUM_INLINE inline __attribute__((always_inline))

ALLIUM_INLINE Vec load(const std::uint8_t* source) {
  return _mm_loadu_si128(reinterpret_cast<const Vec*>(source));
}

ALLIUM_INLINE void store(std::uint8_t* target, Vec value) {
  _mm_storeu_si128(reinterpret_cast<Vec*>(target), value);
}

ALLIUM_INLINE Vec zero() {
  return _mm_setzero_si128();
}

ALLIUM_INLINE __m128i load_block(const std::uint8_t* source) {
  return load(source);
}

ALLIUM_INLINE void store_block(std::uint8_t* target, __m128i block) {
  store(target, block);
}

ALLIUM_INLINE Vec every_lane(__m128i block) {
  return block;
}

// The blocks at kWidth places.
ALLIUM_INLINE Vec load_lanes(const std::uint8_t* const* source) {
  return load(source[0]);
}

ALLIUM_INLINE void load_square(const std::uint8_t* const* source, Vec* rows) {
  rows[0] = load(source[0]);
}

// The lanes of the mask, which has one.
ALLIUM_INLINE void store_spread(std::uint8_t* target, std::size_t /*stride*/, Vec value,
                                std::uint32_t /*lanes*/) {
  store(target, value);
}

ALLIUM_INLINE void store_lanes(std::uint8_t* target, Vec value, std::uint32_t /*lanes*/) {
  store(target, value);
}

// A register has no parts.
ALLIUM_INLINE Vec load_part(const std::uint8_t* source, std::size_t /*blocks*/) {
  return load(source);
}

ALLIUM_INLINE void store_part(std::uint8_t* target, Vec value, std::size_t /*blocks*/) {
  store(target, value);
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b) {
  return _mm_xor_si128(a, b);
}

ALLIUM_INLINE Vec bits_xor(Vec a, Vec b, Vec c) {
  return _mm_xor_si128(_mm_xor_si128(a, b), c);
}

ALLIUM_INLINE Vec bits_and(Vec a, Vec b) {
  return _mm_and_si128(a, b);
}

ALLIUM_INLINE Vec aes_round(Vec state, Vec key) {
  return _mm_aesenc_si128(state, key);
}

ALLIUM_INLINE Vec aes_last_round(Vec state, Vec key) {
  return _mm_aesenclast_si128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_round(Vec state, Vec key) {
  return _mm_aesdec_si128(state, key);
}

ALLIUM_INLINE Vec aes_inverse_last_round(Vec state, Vec key) {
  return _mm_aesdeclast_si128(state, key);
}

// Bytes towards the higher end, zeros behind them.
template <int kBytes>
ALLIUM_INLINE Vec bytes_up(Vec value) {
  return _mm_bslli_si128(value, kBytes);
}

ALLIUM_INLINE Vec permute_bytes(Vec value, Vec places) {
  return _mm_shuffle_epi8(value, places);
}

template <int kPlaces>
ALLIUM_INLINE Vec permute_words32(Vec value) {
  return _mm_shuffle_epi32(value, kPlaces);
}

template <int kHalves>
ALLIUM_INLINE Vec carryless(Vec a, Vec b) {
  return _mm_clmulepi64_si128(a, b, kHalves);
}

ALLIUM_INLINE Vec twice_words64(Vec value) {
  return _mm_add_epi64(value, value);
}

ALLIUM_INLINE Vec top_bits_words64(Vec value) {
  return _mm_srli_epi64(value, 63);
}

// All ones in each 32-bit word whose lowest bit is set, where it has no other.
ALLIUM_INLINE Vec mask_words32(Vec value) {
  return _mm_sub_epi32(zero(), value);
}

ALLIUM_INLINE __m128i sum_of_lanes(Vec value) {
  return value;
}

void clear_registers() {
  _mm256_zeroall();
}

}  // namespace
}  // namespace allium::crypto_accel

#include "crypto_accel/kernels/onion_vector_body.hpp"

namespace allium::crypto_accel {

const VectorFunctions kOnionAesAvx2 = kFunctions;

}  // namespace allium::crypto_accel
