// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/packet_ring.hpp"

#include "crypto_accel/base/check.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kHeadersBytes =
    42;  // Ethernet, IPv4, UDP: what stands before it begins at a cache line

}  // namespace

PacketRing::PacketRing(std::size_t packet_count, std::size_t datagram_bytes, const Random& random)
    : packet_count_(packet_count), memory_(packet_count * kStrideBytes) {
  ALLIUM_CHECK(packet_count >= crypto_accel::kLanesMax);
  ALLIUM_CHECK(kHeadersBytes + datagram_bytes <= kStrideBytes);
  for (std::size_t i = 0; i < packet_count; ++i) {
    random({datagram(i), datagram_bytes});
  }
}

std::uint8_t* PacketRing::datagram(std::size_t index) const noexcept {
  return reinterpret_cast<std::uint8_t*>(memory_.bytes().data()) + index * kStrideBytes +
         kHeadersBytes;
}

std::span<std::uint8_t* const> PacketRing::burst(std::size_t count) noexcept {
  ALLIUM_CHECK(count <= crypto_accel::kLanesMax);
  if (next_ + count > packet_count_) {
    next_ = 0;
  }
  for (std::size_t i = 0; i < count; ++i) {
    burst_[i] = datagram(next_ + i);
  }
  // A ring of one burst is always the same packets: warm.
  next_ += packet_count_ > crypto_accel::kLanesMax ? count : 0;
  return std::span(burst_).first(count);
}

}  // namespace allium::bench
