// SPDX-License-Identifier: Apache-2.0
#pragma once

// The measurement of whole relays: one, or several that take turns on the same packets.
//
//   1. packets are made and written to files in memory;
//   2. one pass of every relay goes to the relay behind it, which must accept it whole (it warms up, too);
//   3. each repeat: some passes of every relay, in turns, to a device that counts on its own, every pass under a new
//      replay key, so that no packet is a replay and each is really written to the set; then one pass without any relay,
//      which is what the devices cost;
//   4. books: received = forwarded + dropped for a wrong tag; forwarded = counted by the sink = written to the set; or
//      there is no figure.
//
//   Units      TSC cycles a packet.
//   Errors     Errc of devices and engine.
//   Threads    the main thread; relays of several workers make theirs.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "crypto_accel/base/result.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "tools/bench/forward_options.hpp"
#include "tools/bench/relay_books.hpp"

namespace allium::bench {

/// What became of the packets of the repeats.
struct ContenderResult {
  std::string kernels;  ///< "onion=...,x25519=..."
  std::size_t burst = 0;
  std::size_t bad_tag_percent = 0;
  std::size_t workers = 0;
  bool is_valid = false;  ///< its books agree
  std::size_t accepted = 0;
  Outcome outcome;
  std::vector<double> cycles;  ///< a repeat each, of all workers together
  double cycles_mean = 0;      ///< all timed cycles over all packets, interruptions and all
};

struct ForwardResult {
  ForwardOptions options;
  std::size_t packets = 0;
  std::size_t datagram_bytes = 0;
  std::size_t frame_bytes = 0;
  std::size_t slice_packets = 0;
  std::vector<ContenderResult> contenders;  ///< the first is the one that was asked for
  std::vector<double> io_cycles;            ///< a repeat each
  std::vector<double> udp_checksum_cycles;  ///< a repeat each
  std::optional<ContenderResult> staged;    ///< the first with a clock of its stages
  std::vector<double> stage_cycles;         ///< medians, by onion::Stage; 0: no such stage
  std::uint64_t tsc_hz = 0;
  bool uses_huge_pages = false;
  std::size_t replay_set_bytes = 0;  ///< of the first
  std::size_t replay_set_huge_bytes = 0;
  double steal_percent = 0;
  std::int64_t preemptions = 0;

  [[nodiscard]] bool is_valid() const noexcept;
};

/// `kernels` are those of the relay that is asked for. Says on standard error how far it is.
[[nodiscard]] Result<ForwardResult> measure_forward(const ForwardOptions& options,
                                                    const crypto_accel::KernelSet& kernels);

/// The object of allium.bench.forward/1.
[[nodiscard]] boost::json::object forward_json(const ForwardResult& result);

}  // namespace allium::bench
