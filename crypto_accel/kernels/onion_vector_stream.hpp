// SPDX-License-Identifier: Apache-2.0
#pragma once

// CTR over registers of kWidth blocks, for onion_vector_body.hpp: the key stream of one packet, with room for other work between
// its rounds.

#include <immintrin.h>

#include "crypto_accel/kernels/onion_vector.hpp"
#include "crypto_accel/kernels/onion_vector_aes.hpp"

namespace allium::crypto_accel {
namespace {

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

}  // namespace
}  // namespace allium::crypto_accel
