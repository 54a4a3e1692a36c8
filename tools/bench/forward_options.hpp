// SPDX-License-Identifier: Apache-2.0
#pragma once

// What allium-bench-dp is asked to measure.
//
//   Units      packets.
//   Limits     kLoopPacketsMax packets in the loop.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/engine/eal.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

inline constexpr std::size_t kLoopBytes =
    36'000'000;  ///< beyond the caches that a core has for itself
inline constexpr std::size_t kLoopPacketsMax = 262'144;

/// Of setup packets: 5 MB, more than a core's own caches. Each takes three key agreements to make.
inline constexpr std::size_t kSetupLoopPackets = 4096;

inline constexpr double kReplayMppsMax = 64;  ///< a set of 16 GB

/// Where packets come from.
enum class Backend : std::uint8_t {
  pcap,  ///< a replay file
  ring,  ///< the worker's own thread puts them into a ring
};

struct ForwardOptions {
  onion::PacketClass packet_class = onion::PacketClass::d;  ///< d, v or s0
  bool is_v6 = false;
  std::size_t sessions = 4096;
  std::size_t packets =
      0;  ///< in the loop, a multiple of packet_step(); 0: as many as make kLoopBytes
  std::size_t repeats = 7;
  std::size_t passes = 2;  ///< over the loop, in one repeat
  std::size_t burst = 32;
  std::size_t bad_tags = 0;  ///< percent of the packets that have a wrong link tag
  Backend backend = Backend::pcap;
  std::size_t workers = 1;  ///< more than one with rings only
  double replay_mpps = 1;   ///< that the replay set is made for
  bool stages = false;      ///< beside it the same relay with a clock of its stages
  bool same_replay_key = false;
  dataplane::Pages pages = dataplane::Pages::automatic;

  // Relays that differ from the first in one thing and take turns with it.
  std::vector<std::string> compare_kernels;  ///< as ALLIUM_KERNEL
  std::vector<std::size_t> compare_bursts;
  std::vector<std::size_t> compare_bad_tags;
  std::vector<std::size_t> compare_workers;
};

/// Nothing where a word is unknown, a number out of its bounds, or where they do not go together.
[[nodiscard]] std::optional<ForwardOptions> parse_forward_options(int argc, char** argv);

/// The shares of wrong link tags, each once: an input of packets each. The first is `bad_tags`.
[[nodiscard]] std::vector<std::size_t> bad_tag_inputs(const ForwardOptions& options);

/// What the number of packets is a multiple of, so that every relay gets whole bursts.
[[nodiscard]] std::size_t packet_step(const ForwardOptions& options);

/// The packets of the loop: what was asked for, or kLoopBytes of them in whole bursts (kSetupLoopPackets of class S),
/// fewer where `memory_bytes` (0 = unknown) would be more than half full of them.
[[nodiscard]] std::size_t loop_packets(const ForwardOptions& options, std::size_t datagram_bytes,
                                       std::size_t memory_bytes);

/// What the replay device needs for a packet, whatever its size: a buffer of its own, and on 4-KiB pages a page of
/// its own, with bookkeeping.
inline constexpr std::size_t kPacketBufferBytes = 4224;

}  // namespace allium::bench
