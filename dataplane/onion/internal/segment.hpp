// SPDX-License-Identifier: Apache-2.0
#pragma once

// Forwarding segments: what a relay wrote to itself about one hop of a path (SPEC.md section 6).
//
//   Units      exp and unit10 count 10 seconds.
//   Threads    reentrant.
//   Timing     constant in keys; what a segment says decides where its packet goes.

#include <array>
#include <cstdint>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/relay_snapshot.hpp"
#include "dataplane/onion/verdict.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion::internal {

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
  explicit PlainSegment(const Block& plain) noexcept;

  /// pending: good; else fs_type or fs_expired.
  [[nodiscard]] Verdict judge(Direction direction, std::uint64_t unit10) const noexcept;

  std::uint8_t type_byte;
  Segment segment;
};

/// FS of a segment. The direction puts bit 7 on the type.
[[nodiscard]] Block seal_segment(const RelaySnapshot::Epoch& epoch, Direction direction,
                                 const Segment& segment) noexcept;

/// The block whose encryption under B_e is s (section 5).
[[nodiscard]] Block secret_input(const Segment& segment) noexcept;

}  // namespace allium::onion::internal
