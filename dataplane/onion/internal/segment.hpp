// SPDX-License-Identifier: Apache-2.0
#pragma once

// Forwarding segments: what a relay wrote to itself about one hop of a path (SPEC.md section 6).
//
//   Units      exp and unit10 count 10 seconds.
//   Threads    reentrant.
//   Timing     constant in keys; what a segment says decides where its packet goes.

#include <array>
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

/// `next` of a segment, of a setup packet and of a return block.
struct Next {
  NextType type = NextType::relay;
  std::array<std::uint8_t, 6> bytes{};
};

struct Segment {
  Next next;
  std::uint16_t exp = 0;
  std::array<std::uint8_t, kSaltBytes> salt{};
};

/// The segment in a decrypted block. `type_byte` may be any.
struct PlainSegment {
  explicit PlainSegment(const Block& plain) noexcept : type_byte(plain[0]) {
    segment.next.type = static_cast<NextType>(type_byte & ~kBackwardBit);
    std::memcpy(segment.next.bytes.data(), plain.data() + kNextOffset, segment.next.bytes.size());
    segment.exp = static_cast<std::uint16_t>(load_be(plain.data() + kExpOffset, 2));
    std::memcpy(segment.salt.data(), plain.data() + kSaltOffset, kSaltBytes);
  }

  /// pending: good; else fs_type or fs_expired.
  [[nodiscard]] Verdict judge(Direction direction, std::uint64_t unit10) const noexcept;

  std::uint8_t type_byte;
  Segment segment;
};

/// FS of a segment. The direction puts bit 7 on the type.
[[nodiscard]] Block seal_segment(const RelaySnapshot::Epoch& epoch, Direction direction,
                                 const Segment& segment) noexcept;

/// The block whose encryption under B_e is s (section 5).
[[nodiscard]] inline Block secret_input(const Segment& segment) noexcept {
  constexpr std::uint8_t kSecretLabel = 0x01;
  Block input{};
  input[0] = kSecretLabel;
  std::memcpy(input.data() + 1, segment.salt.data(), kSaltBytes);
  store_be(input.data() + 1 + kSaltBytes, segment.exp, 2);
  return input;
}

}  // namespace allium::onion::internal
