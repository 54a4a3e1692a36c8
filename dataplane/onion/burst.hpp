// SPDX-License-Identifier: Apache-2.0
#pragma once

// Up to 32 datagrams on their way through a relay, laid out by field. Bad packets are marked, not
// removed: lane i stays lane i from receive to send.
//
//   Units      bytes of UDP payload.
//   Ownership  borrows the datagrams; each must have room for kDatagramBytesMax bytes, since answers
//              and challenges are built in place.
//   Threads    one.

#include <emmintrin.h>

#include <cstddef>
#include <cstdint>

#include "crypto_accel/onion_batch.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "dataplane/onion/verdict.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

inline constexpr std::size_t kBurstMax = 32;
static_assert(kBurstMax == crypto_accel::kLanesMax);

using crypto_accel::LaneMask;
using crypto_accel::Lanes;

/// The lanes whose byte is `value`, all at once.
template <typename Byte>
LaneMask lanes_with(const Lanes<Byte>& bytes, Byte value) noexcept {
  static_assert(sizeof(bytes) == kBurstMax && kBurstMax == 2 * sizeof(__m128i));
  const auto* half = reinterpret_cast<const __m128i*>(bytes.data());
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(value));
  const int low = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(half), wanted));
  const int high = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(half + 1), wanted));
  return static_cast<LaneMask>(low) | static_cast<LaneMask>(high) << 16;
}

/// Payloads from this size on are hashed and ciphered in waves of so many lanes: long enough for the one to hide
/// behind the other, few enough for the first and the last wave, which are alone, to weigh little.
inline constexpr std::size_t kWaveBytesMin = 512;
inline constexpr int kWaveLanes = 8;

/// The lowest lanes of a mask, kWaveLanes at most.
constexpr LaneMask first_wave(LaneMask lanes) noexcept {
  LaneMask rest = lanes;
  for (int i = 0; i < kWaveLanes && rest != 0; ++i) {
    rest &= rest - 1;
  }
  return lanes & ~rest;
}

enum class Outgoing : std::uint8_t {
  none,
  forward,    ///< the packet itself, one layer further
  answer,     ///< what the terminal answers by itself: path open, ECHO, BRIDGE
  challenge,  ///< C, to a client without a cookie
};

/// Where a packet goes.
struct Target {
  bool to_relay = false;
  std::uint32_t relay_id = 0;  ///< to_relay only
  Endpoint endpoint;           ///< always; a relay's is that of the document
  std::uint32_t peer_index =
      0;  ///< of a relay: where the snapshot had it; a later one may have it elsewhere
};

struct Burst {
  std::size_t count = 0;
  Lanes<std::uint8_t*> data{};
  Lanes<std::uint16_t> bytes{};  ///< received length; after process() the length to send
  Lanes<Endpoint> source{};

  // Set by admit():
  Lanes<Verdict> verdict{};
  Lanes<PacketType> type{};     ///< valid in lanes that passed steps 1 to 3; changed by answers
  Lanes<std::uint64_t> slot{};  ///< of the packet as it came in; of what is sent after process()
  Lanes<bool> from_relay{};
  Lanes<std::uint32_t> previous{};  ///< relay id where from_relay

  // Set by process() (challenges: admit()):
  Lanes<Outgoing> outgoing{};
  Lanes<Target> target{};
  Lanes<std::uint8_t> delay_10ms{};  ///< forwarded S only
  Lanes<Block> client_tag{};         ///< of DB, VB and R to a client: goes to last12

  /// Lanes whose verdict is still pending.
  [[nodiscard]] LaneMask pending() const noexcept {
    return lanes_with(verdict, Verdict::pending) & crypto_accel::first_lanes(count);
  }
};

}  // namespace allium::onion
