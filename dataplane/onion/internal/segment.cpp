// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/internal/segment.hpp"

#include <algorithm>

#include "crypto_accel/primitives.hpp"

namespace allium::onion::internal {

Block plain_segment(Direction direction, const Segment& segment) noexcept {
  Block plain{};
  const std::uint8_t direction_bit = direction == Direction::backward ? kBackwardBit : 0;
  plain[0] =
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(segment.next.type) | direction_bit);
  store_be(plain.data() + kExpOffset, segment.exp, 2);
  std::copy(segment.next.bytes.begin(), segment.next.bytes.end(), plain.data() + kNextOffset);
  std::copy(segment.salt.begin(), segment.salt.end(), plain.data() + kSaltOffset);
  return plain;
}

Block seal_segment(const RelaySnapshot::Epoch& epoch, Direction direction,
                   const Segment& segment) noexcept {
  return crypto_accel::aes_encrypt(epoch.segment_raw, plain_segment(direction, segment));
}

}  // namespace allium::onion::internal
