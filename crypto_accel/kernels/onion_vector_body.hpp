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
#include "crypto_accel/kernels/onion_vector_aes.hpp"
#include "crypto_accel/kernels/onion_vector_hash.hpp"
#include "crypto_accel/kernels/onion_vector_stream.hpp"

namespace allium::crypto_accel {
namespace {

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

ALLIUM_INLINE const std::uint8_t* lane_schedule(const std::uint8_t* schedules, std::size_t lane) {
  return schedules + lane / kWidth * kGroupSchedule + lane % kWidth * kBlock;
}

ALLIUM_INLINE Hash hash_of(const VectorMemory* memory, std::size_t x_r_bytes, std::size_t lane,
                           const std::uint8_t* ctx, const std::uint8_t* const* x_r) {
  return Hash(memory->powers + lane * kPowerBytes, ctx + lane * kBlock, x_r[lane],
              x_r_bytes / kBlock);
}

// After them: X_L' from M. The schedule of K_et serves for one block, so it is made on the way. Where `mac` is not null,
// the CBC-MAC that is there goes on with X_L'.
ALLIUM_INLINE void end_left(VectorMemory* memory, std::uint32_t lanes,
                            const std::uint8_t* const* x_l, std::uint8_t* x_l_out,
                            std::uint8_t* mac) {
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
        if (mac == nullptr) {
          return;
        }
        const std::uint8_t* schedule[kCount];
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          schedule[n] = not_seen_before(memory->mac + run[n] * kGroupSchedule);
          state[n] = bits_xor(state[n], load(mac + run[n] * kVecBytes), load(schedule[n]));
        }
        encrypt_after_first_key<kCount>(state, schedule);
#pragma GCC unroll 4
        for (std::size_t n = 0; n < kCount; ++n) {
          store_group(mac, run[n], state[n], lanes);
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
  end_left(memory, lanes, x_l, x_l_out, nullptr);
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
                const std::uint8_t* const* x_r_in, std::uint8_t* x_l_out, std::uint8_t* mac) {
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
  end_left(memory, left, x_l, x_l_out, mac);
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
