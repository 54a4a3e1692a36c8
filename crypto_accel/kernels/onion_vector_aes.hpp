// SPDX-License-Identifier: Apache-2.0
#pragma once

// AES over registers of kWidth blocks, for onion_vector_body.hpp: groups of lanes, schedules of many keys at once, blocks under
// one key.

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

}  // namespace
}  // namespace allium::crypto_accel
