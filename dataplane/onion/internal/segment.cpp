// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/internal/segment.hpp"

#include <algorithm>

#include "crypto_accel/primitives.hpp"

namespace allium::onion::internal {
namespace {

constexpr std::size_t kExpOffset = 1;
constexpr std::size_t kNextOffset = 3;
constexpr std::size_t kSaltOffset = 9;
constexpr std::uint16_t kLifeMax10s = 120;
constexpr std::uint8_t kSecretLabel = 0x01;

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

PlainSegment::PlainSegment(const Block& plain) noexcept : type_byte(plain[0]) {
  segment.next.type = static_cast<NextType>(type_byte & ~kBackwardBit);
  std::copy_n(plain.data() + kNextOffset, segment.next.bytes.size(), segment.next.bytes.data());
  segment.exp = static_cast<std::uint16_t>(load_be(plain.data() + kExpOffset, 2));
  std::copy_n(plain.data() + kSaltOffset, kSaltBytes, segment.salt.data());
}

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

Block secret_input(const Segment& segment) noexcept {
  Block input{};
  input[0] = kSecretLabel;
  std::copy(segment.salt.begin(), segment.salt.end(), input.data() + 1);
  store_be(input.data() + 1 + kSaltBytes, segment.exp, 2);
  return input;
}

}  // namespace allium::onion::internal
