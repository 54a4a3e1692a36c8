// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the UDP checksum of a sent packet costs: headers written by the engine's own function in front of whole datagrams
// and of empty ones, in turns, and the difference. A NIC can compute it; the engine's devices here do not.
//
//   Units      TSC cycles a packet.
//   Ownership  owns its frames, a burst of them; they are warm, as those of a relay are when it writes their headers.
//   Threads    one.

#include <cstddef>

#include "crypto_accel/base/random.hpp"
#include "dataplane/engine/frame.hpp"
#include "tools/bench/packet_ring.hpp"

namespace allium::bench {

class ChecksumCost {
 public:
  ChecksumCost(const dataplane::FrameAddresses& addresses, std::size_t datagram_bytes,
               const Random& random);

  /// The median of some hundred turns.
  [[nodiscard]] double cycles();

 private:
  dataplane::FrameAddresses addresses_;
  std::size_t headers_bytes_;
  std::size_t datagram_bytes_;
  PacketRing frames_;
};

}  // namespace allium::bench
