// SPDX-License-Identifier: Apache-2.0
#pragma once

// Datagrams in one piece of memory that are handed out in bursts, round and round: 32 of them stay in a core's first
// caches, 36 MB of them in none of its own. They lie as in the packet buffers of a relay, behind the headers of an
// IPv4 frame and as far apart: side by side, 256-byte packets would alias in the caches as they never do there.
//
//   Ownership  owns the memory; what burst() says is valid until the next burst().
//   Threads    one.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "tools/bench/set_memory.hpp"

namespace allium::bench {

class PacketRing {
 public:
  /// Bytes from one datagram to the next: bookkeeping, head room and data of DPDK's packet buffers.
  static constexpr std::size_t kStrideBytes = 64 + 128 + 128 + 2048;

  /// `packet_count` datagrams of random bytes. Requires at least a burst of them.
  PacketRing(std::size_t packet_count, std::size_t datagram_bytes, const Random& random);

  /// The next `count` datagrams, at most kLanesMax; the last ones of the memory are left out where no whole burst
  /// is left.
  [[nodiscard]] std::span<std::uint8_t* const> burst(std::size_t count) noexcept;

  /// How much of its memory is on huge pages.
  [[nodiscard]] double huge_percent() const {
    return 100.0 * static_cast<double>(memory_.huge_bytes()) /
           static_cast<double>(memory_.bytes().size());
  }

 private:
  [[nodiscard]] std::uint8_t* datagram(std::size_t index) const noexcept;

  std::size_t packet_count_;
  SetMemory memory_;
  std::size_t next_ = 0;
  std::array<std::uint8_t*, crypto_accel::kLanesMax> burst_{};
};

}  // namespace allium::bench
