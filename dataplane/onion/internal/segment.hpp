// SPDX-License-Identifier: Apache-2.0
#pragma once

// Forwarding segments: what a relay wrote to itself about one hop of a path (SPEC.md section 6).
//
//   Units      exp and unit10 count 10 seconds.
//   Threads    reentrant.
//   Timing     constant in keys; what a segment says decides where its packet goes.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/relay_snapshot.hpp"
#include "dataplane/onion/verdict.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion::internal {

inline constexpr std::size_t kExpOffset = 1;
inline constexpr std::size_t kNextOffset = 3;
inline constexpr std::size_t kSaltOffset = 9;
inline constexpr std::size_t kSaltBytes = 7;
inline constexpr std::uint64_t kSaltMax = (std::uint64_t{1} << 56) - 1;

/// `next` of a segment, of a setup packet and of a return block. A word, so that it is copied as one.
struct alignas(8) Next {
  NextType type = NextType::relay;
  std::array<std::uint8_t, 6> bytes{};
  std::uint8_t unused = 0;
};

struct Segment {
  Next next;
  std::uint16_t exp = 0;
  std::array<std::uint8_t, kSaltBytes> salt{};
};

/// pending: the segment in a decrypted block is good; else fs_type or fs_expired. The block may hold anything.
[[nodiscard]] inline Verdict judge_segment(const Block& plain, Direction direction,
                                           std::uint64_t unit10) noexcept {
  constexpr std::uint16_t kLifeMax10s = 120;
  // One bit a type byte. V4 and HANDLE are never valid forward: a relay is not a way to reach arbitrary addresses.
  const auto bit = [](NextType type) { return 1U << static_cast<unsigned>(type); };
  const bool is_backward = direction == Direction::backward;
  const unsigned valid = is_backward
                             ? bit(NextType::relay) | bit(NextType::v4) | bit(NextType::handle)
                             : bit(NextType::relay) | bit(NextType::service);
  const unsigned type = plain[0] ^ (is_backward ? kBackwardBit : 0U);
  if (type >= 8 || (valid >> type & 1) == 0) {
    return Verdict::fs_type;
  }
  const auto left = static_cast<std::uint16_t>(load_be(plain.data() + kExpOffset, 2) - unit10);
  return left >= 1 && left <= kLifeMax10s ? Verdict::pending : Verdict::fs_expired;
}

/// The next hop in a good one.
[[nodiscard]] inline Next next_of_segment(const Block& plain) noexcept {
  // By words: bytes put together one by one and read as a whole wait for each other.
  static_assert(offsetof(Next, bytes) == 1 && kNextOffset >= 1);
  const auto from_next = allium::internal::load_word<std::uint64_t>(plain.data() + kNextOffset - 1);
  const auto type = static_cast<std::uint8_t>(plain[0] & ~kBackwardBit);
  return std::bit_cast<Next>((from_next & 0x00ff'ffff'ffff'ff00) | type);
}

/// A segment as a block. The direction puts bit 7 on the type.
[[nodiscard]] Block plain_segment(Direction direction, const Segment& segment) noexcept;

/// FS: the same, encrypted.
[[nodiscard]] Block seal_segment(const RelaySnapshot::Epoch& epoch, Direction direction,
                                 const Segment& segment) noexcept;

inline constexpr std::uint8_t kSecretLabel = 0x01;

/// The block whose encryption under B_e is s (section 5), from a segment before its encryption, by words:
/// label | salt 7, then exp 2 | zeros.
[[nodiscard]] inline Block secret_input(const Block& plain) noexcept {
  using allium::internal::load_word;
  static_assert(kSaltOffset + kSaltBytes == kBlockBytes && kSaltBytes == 7);
  const std::uint64_t before_salt = load_word<std::uint64_t>(plain.data() + kSaltOffset - 1);
  const std::uint64_t exp = load_word<std::uint16_t>(plain.data() + kExpOffset);
  return std::bit_cast<Block>(
      std::array<std::uint64_t, 2>{(before_salt & ~std::uint64_t{0xff}) | kSecretLabel, exp});
}

}  // namespace allium::onion::internal
