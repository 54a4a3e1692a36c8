// SPDX-License-Identifier: Apache-2.0
#pragma once

// What allium-bench-dp is asked to measure.
//
//   Units      packets.
//   Limits     kLoopPacketsMax packets in the loop.

#include <cstddef>
#include <optional>

#include "dataplane/engine/eal.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

inline constexpr std::size_t kLoopBytes =
    36'000'000;  ///< beyond the caches that a core has for itself
inline constexpr std::size_t kLoopPacketsMax = 262'144;

struct ForwardOptions {
  onion::PacketClass packet_class = onion::PacketClass::d;
  std::size_t sessions = 4096;
  std::size_t packets = 0;  ///< in the loop, a multiple of `burst`; 0: as many as make kLoopBytes
  std::size_t repeats = 7;
  std::size_t passes = 2;  ///< over the loop, in one repeat
  std::size_t burst = 32;
  bool same_replay_key = false;
  dataplane::Pages pages = dataplane::Pages::automatic;
};

/// Nothing where a word is unknown or a number out of its bounds.
[[nodiscard]] std::optional<ForwardOptions> parse_forward_options(int argc, char** argv);

/// The packets of the loop: what was asked for, or kLoopBytes of them in whole bursts, fewer where
/// `memory_bytes` (0 = unknown) would be more than half full of them.
[[nodiscard]] std::size_t loop_packets(const ForwardOptions& options, std::size_t datagram_bytes,
                                       std::size_t memory_bytes);

/// What the replay device needs for a packet, whatever its size: a buffer of its own, and on 4-KiB pages a page of
/// its own, with bookkeeping.
inline constexpr std::size_t kPacketBufferBytes = 4224;

}  // namespace allium::bench
