// SPDX-License-Identifier: Apache-2.0
#pragma once

// The onion kernel over registers of kWidth blocks. A file of one instruction set defines Vec and the
// operations on it, then includes this one; everything here is its own copy (unnamed namespace).
//
// Short parts (link tags, header MACs, key schedules, single blocks) go lane a packet: a register holds one
// block of kWidth packets, each under its own key. Long parts (payload, header mask, veil) go wide: a register
// holds kWidth blocks of one packet, and its round keys are broadcast from memory, which costs load ports only.
//
// GHASH (SP 800-38D) is computed in POLYVAL's form (RFC 8452, appendix A): bytes of a block reversed, H times
// x, products with Montgomery reduction; H is a key of the packet, so all its powers are made here.

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kVecBytes = kWidth * kBlock;
constexpr std::size_t kGroups = kVectorLanes / kWidth;
constexpr std::size_t kRounds = 10;
constexpr std::size_t kGroupSchedule = kWidth * kScheduleBytes;
constexpr std::uint32_t kWholeGroup = (1U << kWidth) - 1;
constexpr std::size_t kDerived = 5;
constexpr std::size_t kShiftBytes = 32;
constexpr std::size_t kStreams = 6;  // registers of a key stream in step
// X_R has at most 67 blocks, HR 41.
constexpr std::size_t kCounters = 72;

// Blocks that are `byte` in byte 15, counting up: a counter block is the seed with one of these added, and
// since no counter carries out of byte 15 and seeds have zeros where these count, adding is exclusive or.
struct Counters {
  alignas(64) std::uint8_t bytes[kCounters * kBlock];
};

constexpr Counters make_counters() {
  Counters counters{};
  for (std::size_t i = 0; i < kCounters; ++i) {
    counters.bytes[i * kBlock + 15] = static_cast<std::uint8_t>(i);
  }
  return counters;
}

constexpr Counters kCounterBlocks = make_counters();
constexpr std::uint8_t kHeaderMaskCounter = 0x80;
constexpr std::uint8_t kBackwardMaskLabel = 0x5a;

alignas(16) constexpr std::uint8_t kZeros[kBlock] = {};

// ---- lanes ----

ALLIUM_INLINE std::size_t lowest(std::uint32_t mask) {
  return static_cast<std::size_t>(__builtin_ctz(mask));
}

ALLIUM_INLINE std::uint32_t group_lanes(std::uint32_t lanes, std::size_t group) {
  return lanes >> (group * kWidth) & kWholeGroup;
}

// The groups in which a mask has lanes.
struct Groups {
  std::uint8_t index[kGroups];
  std::size_t count;
};

ALLIUM_INLINE Groups groups_of(std::uint32_t lanes) {
  Groups groups;
  groups.count = 0;
  for (std::size_t group = 0; group < kGroups; ++group) {
    groups.index[groups.count] = static_cast<std::uint8_t>(group);
    groups.count += group_lanes(lanes, group) != 0 ? std::size_t{1} : 0;
  }
  return groups;
}

template <std::size_t kCount>
struct Count {
  static constexpr std::size_t kValue = kCount;
};

// step(Count<n>, groups) for runs of n groups, the longest first: instructions of n groups stand side by side.
template <std::size_t kLongest, typename Step>
ALLIUM_INLINE void in_runs(const Groups& groups, Step step) {
  const std::uint8_t* next = groups.index;
  std::size_t left = groups.count;
  while (left >= kLongest) {
    step(Count<kLongest>{}, next);
    next += kLongest;
    left -= kLongest;
  }
  if constexpr (kLongest > 4) {
    if (left >= 4) {
      step(Count<4>{}, next);
      next += 4;
      left -= 4;
    }
  }
  if constexpr (kLongest > 2) {
    if (left >= 2) {
      step(Count<2>{}, next);
      next += 2;
      left -= 2;
    }
  }
  if constexpr (kLongest > 1) {
    if (left != 0) {
      step(Count<1>{}, next);
    }
  }
}

// Pointers of a group; a lane outside the mask gets one of a lane in it, so that loads are legal.
template <typename Pointer>
ALLIUM_INLINE void pointers_of(const Pointer* all, std::uint32_t lanes, std::size_t group,
                               Pointer* pointers) {
  const std::uint32_t wanted = group_lanes(lanes, group);
  const Pointer spare = all[group * kWidth + lowest(wanted)];
  for (std::size_t i = 0; i < kWidth; ++i) {
    pointers[i] = (wanted >> i & 1) != 0 ? all[group * kWidth + i] : spare;
  }
}

ALLIUM_INLINE void store_group(std::uint8_t* blocks, std::size_t group, Vec value,
                               std::uint32_t lanes) {
  const std::uint32_t wanted = group_lanes(lanes, group);
  if (wanted == kWholeGroup) {
    store(blocks + group * kVecBytes, value);
  } else {
    store_lanes(blocks + group * kVecBytes, value, wanted);
  }
}

// ---- AES ----

// Round keys are operands in memory, and stay there: a compiler that knew that they do not change would copy all
// of them to the stack in front of a loop, which is slow, and nobody would wipe them.
ALLIUM_INLINE const std::uint8_t* not_seen_before(const std::uint8_t* schedule) {
  asm("" : "+r"(schedule));
  return schedule;
}

ALLIUM_INLINE const std::uint8_t* schedule_of(const AesKey* key) {
  return reinterpret_cast<const std::uint8_t*>(key);
}

ALLIUM_INLINE Vec block_of_all(const std::uint8_t* source) {
  return every_lane(load_block(source));
}

constexpr int kRoundConstants[kRounds] = {0x01, 0x02, 0x04, 0x08, 0x10,
                                          0x20, 0x40, 0x80, 0x1b, 0x36};

ALLIUM_INLINE Vec words32(int word) {
  return every_lane(_mm_set1_epi32(word));
}

// FIPS 197, 5.2. AESENCLAST of four equal columns is SubWord of each; the rotation is in the shuffle, and what
// AESENCLAST adds at its end is the rest of the round.
ALLIUM_INLINE Vec next_round_key(Vec key, int constant) {
  const Vec last_word_rotated = words32(0x0c0f0e0d);
  const Vec sums = bits_xor(key, bytes_up<4>(key));
  const Vec all_sums = bits_xor(sums, bytes_up<8>(sums), words32(constant));
  return aes_last_round(permute_bytes(key, last_word_rotated), all_sums);
}

// Schedules of kCount keys; round r of key n goes to target[n] + r * kVecBytes, in the lanes of masks[n].
template <std::size_t kCount>
ALLIUM_INLINE void expand(Vec* key, std::uint8_t* const* target, const std::uint32_t* masks) {
  for (std::size_t round = 0;; ++round) {
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kCount; ++n) {
      if (masks[n] == kWholeGroup) {
        store(target[n] + round * kVecBytes, key[n]);
      } else {
        store_lanes(target[n] + round * kVecBytes, key[n], masks[n]);
      }
    }
    if (round == kRounds) {
      return;
    }
    const int constant = kRoundConstants[round];
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kCount; ++n) {
      key[n] = next_round_key(key[n], constant);
    }
  }
}

// Encrypts kCount registers, each under its own group's schedules.
template <std::size_t kCount>
ALLIUM_INLINE void encrypt_after_first_key(Vec* state, const std::uint8_t* const* schedule) {
#pragma GCC unroll 16
  for (std::size_t round = 1; round < kRounds; ++round) {
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kCount; ++n) {
      state[n] = aes_round(state[n], load(schedule[n] + round * kVecBytes));
    }
  }
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kCount; ++n) {
    state[n] = aes_last_round(state[n], load(schedule[n] + kRounds * kVecBytes));
  }
}

void expand_key(const std::uint8_t* key, AesKey* expanded) {
  __m128i round_key[kRounds + 1];
  round_key[0] = load_block(key);
#pragma GCC unroll 16
  for (std::size_t round = 0; round < kRounds; ++round) {
    const __m128i last_word_rotated = _mm_set1_epi32(0x0c0f0e0d);
    const __m128i sums = _mm_xor_si128(round_key[round], _mm_bslli_si128(round_key[round], 4));
    const __m128i all_sums = _mm_xor_si128(_mm_xor_si128(sums, _mm_bslli_si128(sums, 8)),
                                           _mm_set1_epi32(kRoundConstants[round]));
    round_key[round + 1] =
        _mm_aesenclast_si128(_mm_shuffle_epi8(round_key[round], last_word_rotated), all_sums);
  }
  auto* bytes = reinterpret_cast<std::uint8_t*>(expanded);
  auto* encrypt = reinterpret_cast<__m128i*>(bytes);
  auto* decrypt = reinterpret_cast<__m128i*>(bytes + kDecryptOffset);
#pragma GCC unroll 16
  for (std::size_t round = 0; round <= kRounds; ++round) {
    _mm_storeu_si128(encrypt + round, round_key[round]);
    const bool is_end = round == 0 || round == kRounds;
    _mm_storeu_si128(decrypt + kRounds - round,
                     is_end ? round_key[round] : _mm_aesimc_si128(round_key[round]));
  }
  // RFC 4493, 2.3: K1 = AES_k(0) times x, in GCM's bit order of CMAC: a shift of the big-endian number.
  __m128i state = round_key[0];
#pragma GCC unroll 16
  for (std::size_t round = 1; round < kRounds; ++round) {
    state = _mm_aesenc_si128(state, round_key[round]);
  }
  state = _mm_aesenclast_si128(state, round_key[kRounds]);
  const __m128i reversed = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m128i number = _mm_shuffle_epi8(state, reversed);
  const __m128i top_bits = _mm_srli_epi64(number, 63);
  const __m128i carry = _mm_bslli_si128(top_bits, 8);
  const __m128i overflow = _mm_sub_epi64(_mm_setzero_si128(), _mm_bsrli_si128(top_bits, 8));
  const __m128i shifted = _mm_or_si128(_mm_add_epi64(number, number), carry);
  const __m128i subkey = _mm_xor_si128(shifted, _mm_and_si128(overflow, _mm_set_epi64x(0, 0x87)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes + kSubkeyOffset),
                   _mm_shuffle_epi8(subkey, reversed));
}

// Blocks of all lanes under one key, whose schedule is 16 bytes a round. `keep(group, blocks)` takes the results.
template <bool kEncrypt, typename LoadGroup, typename Keep>
ALLIUM_INLINE void under_one_key(const std::uint8_t* schedule, std::uint32_t lanes,
                                 LoadGroup load_group, Keep keep) {
  in_runs<kChains>(
      groups_of(lanes), [&](auto count, const std::uint8_t* groups) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
        const std::uint8_t* keys = not_seen_before(schedule);
        Vec state[kCount];
        const Vec first = block_of_all(keys);
#pragma GCC unroll 16
        for (std::size_t n = 0; n < kCount; ++n) {
          state[n] = bits_xor(load_group(groups[n]), first);
        }
#pragma GCC unroll 16
        for (std::size_t round = 1; round < kRounds; ++round) {
          const Vec key = block_of_all(keys + round * kBlock);
#pragma GCC unroll 16
          for (std::size_t n = 0; n < kCount; ++n) {
            state[n] = kEncrypt ? aes_round(state[n], key) : aes_inverse_round(state[n], key);
          }
        }
        const Vec last = block_of_all(keys + kRounds * kBlock);
#pragma GCC unroll 16
        for (std::size_t n = 0; n < kCount; ++n) {
          keep(groups[n],
               kEncrypt ? aes_last_round(state[n], last) : aes_inverse_last_round(state[n], last));
        }
      });
}

void decrypt_blocks(const AesKey* key, std::uint32_t lanes, const std::uint8_t* const* source,
                    std::uint8_t* plain) {
  under_one_key<false>(
      schedule_of(key) + kDecryptOffset, lanes,
      [&](std::size_t group) __attribute__((always_inline)) {
        const std::uint8_t* pointers[kWidth];
        pointers_of(source, lanes, group, pointers);
        return load_lanes(pointers);
      },
      [&](std::size_t group, Vec blocks)
          __attribute__((always_inline)) { store_group(plain, group, blocks, lanes); });
}

void encrypt_blocks(const AesKey* key, std::uint32_t lanes, const std::uint8_t* source,
                    std::uint8_t* target) {
  under_one_key<true>(
      schedule_of(key), lanes,
      [&](std::size_t group)
          __attribute__((always_inline)) { return load(source + group * kVecBytes); },
      [&](std::size_t group, Vec blocks)
          __attribute__((always_inline)) { store_group(target, group, blocks, lanes); });
}

// ---- products in GHASH's field ----

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

// ---- keys of a layer ----

// The five derived blocks of a run of groups (SPEC.md section 5): the schedule of s is made on the way and never
// stored.
template <std::size_t kCount>
ALLIUM_INLINE void derive_blocks(const std::uint8_t* groups, const std::uint8_t* secret, int labels,
                                 Vec (*derived)[kDerived]) {
  Vec key[kCount];
#pragma GCC unroll 4
  for (std::size_t n = 0; n < kCount; ++n) {
    key[n] = load(secret + groups[n] * kVecBytes);
#pragma GCC unroll 8
    for (std::size_t j = 0; j < kDerived; ++j) {
      derived[n][j] =
          bits_xor(key[n], every_lane(_mm_set_epi32(0, 0, 0, labels + static_cast<int>(j) + 1)));
    }
  }
#pragma GCC unroll 16
  for (std::size_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 4
    for (std::size_t n = 0; n < kCount; ++n) {
      key[n] = next_round_key(key[n], kRoundConstants[round]);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < kDerived; ++j) {
        derived[n][j] = round + 1 < kRounds ? aes_round(derived[n][j], key[n])
                                            : aes_last_round(derived[n][j], key[n]);
      }
    }
  }
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

void derive(VectorMemory* memory, std::uint8_t direction, std::uint8_t packet_class,
            std::size_t x_r_bytes, std::uint32_t lanes, const std::uint8_t* secret) {
  const int labels = direction << 8 | packet_class << 16;
  const Groups groups = groups_of(lanes);
  in_runs<2>(
      groups, [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
        Vec derived[kCount][kDerived];
        derive_blocks<kCount>(run, secret, labels, derived);
        Vec keys[2 * kCount];
        std::uint8_t* target[2 * kCount];
        std::uint32_t masks[2 * kCount];
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          store_group(memory->tweak, run[n], derived[n][0], lanes);
          store_group(memory->hash, run[n], derived[n][3], lanes);
          store_group(memory->hash_stream, run[n], derived[n][4], lanes);
          keys[2 * n] = derived[n][1];
          keys[2 * n + 1] = derived[n][2];
          target[2 * n] = memory->stream + run[n] * kGroupSchedule;
          target[2 * n + 1] = memory->mac + run[n] * kGroupSchedule;
          masks[2 * n] = masks[2 * n + 1] = group_lanes(lanes, run[n]);
        }
        expand<2 * kCount>(keys, target, masks);
      });
  const bool is_long = x_r_bytes / kBlock + 2 > 3 * kWidth;
  in_runs<4>(
      groups, [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        make_powers<decltype(count)::kValue>(memory, run, lanes, is_long);
      });
}

// ---- the layer ----

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

// The blocks at `offset` from kWidth places.
ALLIUM_INLINE Vec load_lanes_at(const std::uint8_t* const* pointers, std::size_t offset) {
  const std::uint8_t* at[kWidth];
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    at[lane] = pointers[lane] + offset;
  }
  return load_lanes(at);
}

// CBC-MAC of kCount groups in step: `text` has their first blocks, the others are at `pointers`. The next blocks
// are put together while the ports of the cipher are busy. `at_last(n, block)` may change the last ones.
template <std::size_t kCount, typename AtLast>
ALLIUM_INLINE void cbc_mac(const std::uint8_t** schedule, const std::uint8_t* (*pointers)[kWidth],
                           std::size_t block_count, AtLast at_last, Vec* text, Vec* state) {
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kCount; ++n) {
    state[n] = zero();
  }
  for (std::size_t i = 1;; ++i) {
    if (i == block_count) {
#pragma GCC unroll 16
      for (std::size_t n = 0; n < kCount; ++n) {
        text[n] = at_last(n, text[n]);
      }
    }
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kCount; ++n) {
      schedule[n] = not_seen_before(schedule[n]);
      state[n] = bits_xor(state[n], text[n], load(schedule[n]));
    }
    if (i < block_count) {
#pragma GCC unroll 16
      for (std::size_t n = 0; n < kCount; ++n) {
        text[n] = load_lanes_at(pointers[n], i * kBlock);
      }
    }
    encrypt_after_first_key<kCount>(state, schedule);
    if (i == block_count) {
      return;
    }
  }
}

// Block i of every lane of a group, side by side, for all i.
ALLIUM_INLINE void gather_blocks(const std::uint8_t* const* pointers, std::size_t block_count,
                                 std::uint8_t* target) {
  const std::uint8_t* at[kWidth];
  std::size_t i = 0;
  for (; i + kWidth <= block_count; i += kWidth) {
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      at[lane] = pointers[lane] + i * kBlock;
    }
    Vec rows[kWidth];
    load_square(at, rows);
#pragma GCC unroll 4
    for (std::size_t row = 0; row < kWidth; ++row) {
      store(target + (i + row) * kVecBytes, rows[row]);
    }
  }
  for (; i < block_count; ++i) {
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      at[lane] = pointers[lane] + i * kBlock;
    }
    store(target + i * kVecBytes, load_lanes(at));
  }
}

void header_mac(VectorMemory* memory, std::uint32_t lanes, const std::uint8_t* const* message,
                std::size_t message_bytes, std::uint8_t* mac) {
  in_runs<kChains>(
      groups_of(lanes), [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
        const std::uint8_t* schedule[kCount];
        const std::uint8_t* pointers[kCount][kWidth];
        Vec text[kCount];
        for (std::size_t n = 0; n < kCount; ++n) {
          pointers_of(message, lanes, run[n], pointers[n]);
          text[n] = load_lanes_at(pointers[n], 0);
          schedule[n] = memory->mac + run[n] * kGroupSchedule;
        }
        Vec state[kCount];
        cbc_mac<kCount>(
            schedule, pointers, message_bytes / kBlock,
            [](std::size_t, Vec block) __attribute__((always_inline)) { return block; }, text,
            state);
        for (std::size_t n = 0; n < kCount; ++n) {
          store_group(mac, run[n], state[n], lanes);
        }
      });
}

// Nothing to do between the rounds of a cipher.
struct NoOtherWork {
  template <std::size_t kRound>
  ALLIUM_INLINE void between() {}
};

template <std::size_t kRound, std::size_t kCount, typename OtherWork>
ALLIUM_INLINE void stream_rounds(const std::uint8_t* schedule, std::size_t stride, Vec* state,
                                 OtherWork& other) {
  if constexpr (kRound < kRounds) {
    const Vec key = block_of_all(schedule + kRound * stride);
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kCount; ++n) {
      state[n] = aes_round(state[n], key);
    }
    other.template between<kRound>();
    stream_rounds<kRound + 1, kCount>(schedule, stride, state, other);
  }
}

// `kCount` registers of key stream under one schedule, exclusive-ored from source into target. Round keys of
// the lane stand `stride` bytes apart. The last register may have `last_blocks` blocks.
template <std::size_t kCount, bool kPart, typename OtherWork>
ALLIUM_INLINE void stream_run(const std::uint8_t* schedule, std::size_t stride, Vec seed,
                              const std::uint8_t* counters, const std::uint8_t* source,
                              std::uint8_t* target, std::size_t last_blocks, OtherWork& other) {
  schedule = not_seen_before(schedule);
  Vec state[kCount];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kCount; ++n) {
    state[n] = bits_xor(seed, load(counters + n * kVecBytes));
  }
  stream_rounds<1, kCount>(schedule, stride, state, other);
  const Vec last = block_of_all(schedule + kRounds * stride);
  Vec data[kCount];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kCount; ++n) {
    data[n] = kPart && n + 1 == kCount ? load_part(source + n * kVecBytes, last_blocks)
                                       : load(source + n * kVecBytes);
  }
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kCount; ++n) {
    state[n] = aes_last_round(state[n], bits_xor(last, data[n]));
    if (kPart && n + 1 == kCount) {
      store_part(target + n * kVecBytes, state[n], last_blocks);
    } else {
      store(target + n * kVecBytes, state[n]);
    }
  }
}

// CTR from `seed`, whose last byte has zeros where the counters count. Source and target may be the same or
// overlap, the source above. Round keys of the schedule stand `stride` bytes apart.
class Stream {
 public:
  ALLIUM_INLINE Stream(const std::uint8_t* schedule, std::size_t stride, __m128i seed,
                       const std::uint8_t* source, std::uint8_t* target, std::size_t block_count)
      : schedule_(schedule),
        stride_(stride),
        first_(every_lane(_mm_xor_si128(seed, load_block(schedule)))),
        source_(source),
        target_(target),
        left_(block_count / kWidth),
        rest_(block_count % kWidth) {}

  /// Whole registers that are left.
  [[nodiscard]] ALLIUM_INLINE std::size_t left() const { return left_; }

  template <std::size_t kCount, typename OtherWork>
  ALLIUM_INLINE void step(OtherWork& other) {
    run<kCount, false>(other);
    left_ -= kCount;
  }

  // The other work is done in its last run.
  template <typename OtherWork>
  ALLIUM_INLINE void finish(OtherWork& other) {
    NoOtherWork nothing;
    while (left_ >= kStreams + 2) {
      step<kStreams>(nothing);
    }
    if (rest_ != 0) {
      finish_with<true>(other);
    } else {
      finish_with<false>(other);
    }
  }

 private:
  template <bool kPart, typename OtherWork>
  ALLIUM_INLINE void finish_with(OtherWork& other) {
    constexpr std::size_t kMore = kPart ? 1 : 0;
    static_assert(kStreams == 6);
    switch (left_) {
      case 0:
        if constexpr (kPart) {
          run<1, true>(other);
        }
        break;
      case 1:
        run<1 + kMore, kPart>(other);
        break;
      case 2:
        run<2 + kMore, kPart>(other);
        break;
      case 3:
        run<3 + kMore, kPart>(other);
        break;
      case 4:
        run<4 + kMore, kPart>(other);
        break;
      case 5:
        run<5 + kMore, kPart>(other);
        break;
      case 6:
        run<6 + kMore, kPart>(other);
        break;
      default:
        run<7 + kMore, kPart>(other);
        break;
    }
  }

  template <std::size_t kCount, bool kPart, typename OtherWork>
  ALLIUM_INLINE void run(OtherWork& other) {
    stream_run<kCount, kPart>(schedule_, stride_, first_, counters_, source_, target_, rest_,
                              other);
    counters_ += kCount * kVecBytes;
    source_ += kCount * kVecBytes;
    target_ += kCount * kVecBytes;
  }

  const std::uint8_t* schedule_;
  std::size_t stride_;
  Vec first_;
  const std::uint8_t* counters_ = kCounterBlocks.bytes;
  const std::uint8_t* source_;
  std::uint8_t* target_;
  std::size_t left_;
  std::size_t rest_;  // blocks behind the whole registers
};

ALLIUM_INLINE void stream_xor(const std::uint8_t* schedule, std::size_t stride, __m128i seed,
                              const std::uint8_t* source, std::uint8_t* target,
                              std::size_t block_count) {
  NoOtherWork nothing;
  Stream(schedule, stride, seed, source, target, block_count).finish(nothing);
}

ALLIUM_INLINE const std::uint8_t* lane_schedule(const std::uint8_t* schedules, std::size_t lane) {
  return schedules + lane / kWidth * kGroupSchedule + lane % kWidth * kBlock;
}

ALLIUM_INLINE Hash hash_of(const VectorMemory* memory, std::size_t x_r_bytes, std::size_t lane,
                           const std::uint8_t* ctx, const std::uint8_t* const* x_r) {
  return Hash(memory->powers + lane * kPowerBytes, ctx + lane * kBlock, x_r[lane],
              x_r_bytes / kBlock);
}

// After them: X_L' from M. The schedule of K_et serves for one block, so it is made on the way.
ALLIUM_INLINE void end_left(VectorMemory* memory, std::uint32_t lanes,
                            const std::uint8_t* const* x_l, std::uint8_t* x_l_out) {
  in_runs<4>(
      groups_of(lanes), [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
        Vec m[kCount];
        Vec state[kCount];
        Vec key[kCount];
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          const std::uint8_t* pointers[kWidth];
          pointers_of(x_l, lanes, run[n], pointers);
          m[n] = reverse_bytes(load(memory->hash_sum + run[n] * kVecBytes));
          key[n] = load(memory->tweak + run[n] * kVecBytes);
          state[n] = bits_xor(load_lanes(pointers), m[n], key[n]);
        }
#pragma GCC unroll 16
        for (std::size_t round = 0; round < kRounds; ++round) {
#pragma GCC unroll 4
          for (std::size_t n = 0; n < kCount; ++n) {
            key[n] = next_round_key(key[n], kRoundConstants[round]);
            state[n] = round + 1 < kRounds ? aes_round(state[n], key[n])
                                           : aes_last_round(state[n], bits_xor(key[n], m[n]));
          }
        }
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          store_group(x_l_out, run[n], state[n], lanes);
        }
      });
}

// W from X_L'.
ALLIUM_INLINE void begin_right(VectorMemory* memory, std::uint32_t lanes,
                               const std::uint8_t* x_l_out, std::uint8_t* w) {
  in_runs<4>(
      groups_of(lanes), [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          const Vec left = reverse_bytes(load(x_l_out + run[n] * kVecBytes));
          const Vec hash = times_x(reverse_bytes(load(memory->hash_stream + run[n] * kVecBytes)));
          store_group(w, run[n], reverse_bytes(reduce(multiply(left, hash))), lanes);
        }
      });
}

ALLIUM_INLINE Stream stream_of(const VectorMemory* memory, std::size_t x_r_bytes, std::size_t lane,
                               const std::uint8_t* w, std::uint8_t* const* x_r) {
  const __m128i without_last_byte = _mm_set_epi64x(0x00ffffffffffffff, -1);
  return Stream(lane_schedule(memory->stream, lane), kVecBytes,
                _mm_and_si128(load_block(w + lane * kBlock), without_last_byte), x_r[lane],
                x_r[lane], x_r_bytes / kBlock);
}

void hash_lanes(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                const std::uint8_t* ctx, const std::uint8_t* const* x_r) {
  for (; lanes != 0; lanes &= lanes - 1) {
    const std::size_t lane = lowest(lanes);
    Hash hash = hash_of(memory, x_r_bytes, lane, ctx, x_r);
    while (hash.has_more()) {
      hash.step();
    }
    store_block(memory->hash_sum + lane * kBlock, hash.finish());
  }
}

void stream_lanes(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                  const std::uint8_t* w, std::uint8_t* const* x_r) {
  for (; lanes != 0; lanes &= lanes - 1) {
    NoOtherWork nothing;
    stream_of(memory, x_r_bytes, lowest(lanes), w, x_r).finish(nothing);
  }
}

void layer_left(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                const std::uint8_t* ctx, const std::uint8_t* const* x_l,
                const std::uint8_t* const* x_r, std::uint8_t* x_l_out) {
  hash_lanes(memory, x_r_bytes, lanes, ctx, x_r);
  end_left(memory, lanes, x_l, x_l_out);
}

void layer_right(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t lanes,
                 const std::uint8_t* x_l_out, std::uint8_t* const* x_r, std::uint8_t* w) {
  begin_right(memory, lanes, x_l_out, w);
  stream_lanes(memory, x_r_bytes, lanes, w, x_r);
}

// The hash works one execution port, the cipher another: one packet's hash in steps beside another's cipher takes
// little longer than the cipher alone.
void layer_both(VectorMemory* memory, std::size_t x_r_bytes, std::uint32_t right,
                std::uint8_t* const* x_r, std::uint8_t* w, std::uint32_t left,
                const std::uint8_t* ctx, const std::uint8_t* const* x_l,
                const std::uint8_t* const* x_r_in, std::uint8_t* x_l_out) {
  begin_right(memory, right, x_l_out, w);
  std::uint32_t hashed = left;
  for (; right != 0 && hashed != 0; right &= right - 1, hashed &= hashed - 1) {
    const std::size_t lane = lowest(hashed);
    Stream stream = stream_of(memory, x_r_bytes, lowest(right), w, x_r);
    Hash hash = hash_of(memory, x_r_bytes, lane, ctx, x_r_in);
    while (hash.has_more() && stream.left() > kHashVecs) {
      stream.step<kHashVecs>(hash);
    }
    if (hash.has_more()) {
      stream.finish(hash);
    } else {
      NoOtherWork nothing;
      stream.finish(nothing);
    }
    while (hash.has_more()) {
      hash.step();
    }
    store_block(memory->hash_sum + lane * kBlock, hash.finish());
  }
  hash_lanes(memory, x_r_bytes, hashed, ctx, x_r_in);
  stream_lanes(memory, x_r_bytes, right, w, x_r);
  end_left(memory, left, x_l, x_l_out);
}

// A header of kBlocks blocks moves up by two blocks, zeros come in behind, and all is exclusive-ored with the stream.
template <std::size_t kBlocks>
ALLIUM_INLINE void shift_header(const std::uint8_t* schedule, __m128i seed, std::uint8_t* header) {
  constexpr std::size_t kVecs = (kBlocks + kWidth - 1) / kWidth;
  constexpr std::size_t kKept = kBlocks - kShiftBytes / kBlock;
  const Vec first = every_lane(_mm_xor_si128(seed, load_block(schedule)));
  Vec state[kVecs];
  Vec data[kVecs];
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kVecs; ++n) {
    const std::uint8_t* source = header + kShiftBytes + n * kVecBytes;
    state[n] = bits_xor(first, load(kCounterBlocks.bytes + n * kVecBytes));
    data[n] = kKept >= (n + 1) * kWidth ? load(source)
              : kKept > n * kWidth      ? load_part(source, kKept - n * kWidth)
                                        : zero();
  }
#pragma GCC unroll 16
  for (std::size_t round = 1; round < kRounds; ++round) {
    const Vec key = block_of_all(schedule + round * kVecBytes);
#pragma GCC unroll 16
    for (std::size_t n = 0; n < kVecs; ++n) {
      state[n] = aes_round(state[n], key);
    }
  }
  const Vec last = block_of_all(schedule + kRounds * kVecBytes);
#pragma GCC unroll 16
  for (std::size_t n = 0; n < kVecs; ++n) {
    state[n] = aes_last_round(state[n], bits_xor(last, data[n]));
    if (kBlocks >= (n + 1) * kWidth) {
      store(header + n * kVecBytes, state[n]);
    } else {
      store_part(header + n * kVecBytes, state[n], kBlocks - n * kWidth);
    }
  }
}

// The same for any number of blocks, by way of a copy: setup packets' headers, which no relay shifts this way, and tests.
void shift_any_header(const std::uint8_t* schedule, __m128i seed, std::uint8_t* header,
                      std::size_t header_bytes) {
  alignas(64) std::uint8_t moved[kCounters * kBlock];
  const std::size_t kept = header_bytes - kShiftBytes;
  __builtin_memcpy(moved, header + kShiftBytes, kept);
  __builtin_memset(moved + kept, 0, kShiftBytes);
  stream_xor(schedule, kVecBytes, seed, moved, header, header_bytes / kBlock);
}

void header_shift(VectorMemory* memory, std::uint8_t direction, std::uint8_t packet_class,
                  std::size_t header_bytes, std::uint32_t lanes, const std::uint8_t* w,
                  std::uint8_t* const* ahdr) {
  constexpr std::size_t kBlocksD = 8;
  constexpr std::size_t kBlocksV = 6;
  const __m128i without_last_byte = _mm_set_epi64x(0x00ffffffffffffff, -1);
  const __m128i mask_counter =
      _mm_set_epi64x(static_cast<long long>(std::uint64_t{kHeaderMaskCounter} << 56), 0);
  const __m128i backward = _mm_set_epi32(0, 0, 0, kBackwardMaskLabel | packet_class << 8);
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const std::size_t lane = lowest(rest);
    const __m128i start =
        direction == 0 ? _mm_and_si128(load_block(w + lane * kBlock), without_last_byte) : backward;
    const __m128i seed = _mm_xor_si128(start, mask_counter);
    const std::uint8_t* schedule = not_seen_before(lane_schedule(memory->stream, lane));
    if (header_bytes == kBlocksD * kBlock) {
      shift_header<kBlocksD>(schedule, seed, ahdr[lane]);
    } else if (header_bytes == kBlocksV * kBlock) {
      shift_header<kBlocksV>(schedule, seed, ahdr[lane]);
    } else {
      shift_any_header(schedule, seed, ahdr[lane], header_bytes);
    }
  }
}

// ---- replay and link ----

ALLIUM_INLINE void store_tags(std::uint64_t* tag, std::size_t group, Vec value,
                              std::uint32_t lanes) {
  alignas(64) std::uint8_t bytes[kVecBytes];
  store(bytes, value);
  const std::uint32_t wanted = group_lanes(lanes, group);
  for (std::size_t i = 0; i < kWidth; ++i) {
    if ((wanted >> i & 1) != 0) {
      std::uint64_t word;
      __builtin_memcpy(&word, bytes + i * kBlock, sizeof word);
      tag[group * kWidth + i] = __builtin_bswap64(word);
    }
  }
}

// Most bursts are of one epoch, whose key is broadcast.
void replay_tag(VectorMemory* memory, std::uint32_t lanes, const AesKey* const* replay_key,
                const std::uint8_t* const* t, std::uint64_t* tag) {
  if (lanes == 0) {
    return;
  }
  const AesKey* first = replay_key[lowest(lanes)];
  std::uint32_t same = 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    same |= replay_key[lowest(rest)] == first ? rest & (0 - rest) : 0;
  }
  under_one_key<true>(
      schedule_of(first), same,
      [&](std::size_t group) __attribute__((always_inline)) {
        const std::uint8_t* text[kWidth];
        pointers_of(t, same, group, text);
        return bits_xor(load_lanes(text), load(memory->hash_stream + group * kVecBytes));
      },
      [&](std::size_t group, Vec blocks)
          __attribute__((always_inline)) { store_tags(tag, group, blocks, same); });
  // At most as often as there are epochs.
  replay_tag(memory, lanes & ~same, replay_key, t, tag);
}

void link_tag(VectorMemory* memory, std::size_t header_bytes, std::uint32_t lanes,
              const LinkKey* const* key, const std::uint8_t* const* datagram, std::uint64_t* tag) {
  const Vec first_half = every_lane(_mm_set_epi64x(0, -1));
  in_runs<kChains>(
      groups_of(lanes), [&](auto count, const std::uint8_t* run) __attribute__((always_inline)) {
        constexpr std::size_t kCount = decltype(count)::kValue;
        const std::uint8_t* schedule[kCount];
        const std::uint8_t* keys[kCount][kWidth];
        const std::uint8_t* pointers[kCount][kWidth];
        Vec text[kCount];
        for (std::size_t n = 0; n < kCount; ++n) {
          const LinkKey* links[kWidth];
          pointers_of(key, lanes, run[n], links);
          pointers_of(datagram, lanes, run[n], pointers[n]);
          for (std::size_t i = 0; i < kWidth; ++i) {
            keys[n][i] = reinterpret_cast<const std::uint8_t*>(links[i]);
          }
          std::uint8_t* schedules = memory->link + n * kGroupSchedule;
          gather_blocks(keys[n], kRounds + 1, schedules);
          schedule[n] = schedules;
          // The tag itself counts as zero.
          text[n] = bits_and(load_lanes_at(pointers[n], 0), first_half);
        }
        Vec state[kCount];
        cbc_mac<kCount>(
            schedule, pointers, header_bytes / kBlock + 2,
            // Whole messages get K1 at their end (RFC 4493).
            [&](std::size_t n, Vec block) __attribute__((always_inline)) {
              return bits_xor(block, load_lanes_at(keys[n], kSubkeyOffset));
            },
            text, state);
        for (std::size_t n = 0; n < kCount; ++n) {
          store_tags(tag, run[n], state[n], lanes);
        }
      });
}

void link_veil(std::size_t header_bytes, std::uint32_t lanes, const LinkKey* const* key,
               std::uint8_t* const* datagram) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const std::size_t lane = lowest(rest);
    const std::uint8_t* schedule = reinterpret_cast<const std::uint8_t*>(key[lane]) + kVeilOffset;
    std::uint8_t* packet = datagram[lane];
    const __m128i seed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(packet));
    stream_xor(schedule, kBlock, seed, packet + kBlock, packet + kBlock, header_bytes / kBlock);
  }
}

constexpr VectorFunctions kFunctions{
    expand_key, decrypt_blocks, encrypt_blocks, derive,   layer_left,      header_mac, layer_right,
    layer_both, header_shift,   replay_tag,     link_tag, clear_registers, link_veil};

}  // namespace
}  // namespace allium::crypto_accel
