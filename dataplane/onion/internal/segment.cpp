// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/internal/segment.hpp"

#include <algorithm>

#include "crypto_accel/primitives.hpp"

namespace allium::onion::internal {
namespace {

constexpr std::uint16_t kLifeMax10s = 120;

// V4 and HANDLE are never valid forward: a relay is not a way to reach arbitrary addresses.
bool is_valid_type(std::uint8_t type_byte, Direction direction) noexcept {
  const auto is = [&](NextType type) {
    return (type_byte & ~kBackwardBit) == static_cast<int>(type);
  };
  if (direction == Direction::forward) {
    return (type_byte & kBackwardBit) == 0 && (is(NextType::relay) || is(NextType::service));
  }
  return (type_byte & kBackwardBit) != 0 &&
         (is(NextType::relay) || is(NextType::v4) || is(NextType::handle));
}

}  // namespace

Verdict PlainSegment::judge(Direction direction, std::uint64_t unit10) const noexcept {
  if (!is_valid_type(type_byte, direction)) {
    return Verdict::fs_type;
  }
  const auto left = static_cast<std::uint16_t>(segment.exp - unit10);
  return left >= 1 && left <= kLifeMax10s ? Verdict::pending : Verdict::fs_expired;
}

Block seal_segment(const RelaySnapshot::Epoch& epoch, Direction direction,
                   const Segment& segment) noexcept {
  Block plain{};
  const std::uint8_t direction_bit = direction == Direction::backward ? kBackwardBit : 0;
  plain[0] =
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(segment.next.type) | direction_bit);
  store_be(plain.data() + kExpOffset, segment.exp, 2);
  std::copy(segment.next.bytes.begin(), segment.next.bytes.end(), plain.data() + kNextOffset);
  std::copy(segment.salt.begin(), segment.salt.end(), plain.data() + kSaltOffset);
  return crypto_accel::aes_encrypt(epoch.segment_raw, plain);
}

}  // namespace allium::onion::internal
