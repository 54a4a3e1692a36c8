// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium client ping`: packets through a path to ECHO and back, with their round-trip times.
//
//   Units      microseconds in results, milliseconds in options.
//   Errors     ping: what PathKeeper says. A lost packet is not an error.
//   Threads    one.
//   Limits     kCountMax packets; class v takes at most 3 hops.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/wire_format.hpp"
#include "tools/client/client_path.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/talk.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

struct PingOptions {
  static constexpr std::uint64_t kCountMax = 1'000'000;

  PathChoice path;
  onion::PacketClass packet_class = onion::PacketClass::d;
  std::uint64_t count = 5;
  std::uint64_t interval_ms = 200;
  std::uint64_t timeout_ms = 2000;  ///< after that a packet counts as lost
  bool trace = false;
  bool json = false;
  std::string network_file;  ///< empty: the running devnet
  std::string authority;     ///< public key, hex; with network_file
};

struct PingResult {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t paths_opened = 0;
  std::uint64_t open_us = 0;                  ///< round trip of the last path open
  std::vector<std::uint64_t> round_trips_us;  ///< in order of arrival
  std::vector<std::string> hops;              ///< of the last path, entry first
  IgnoredCounts ignored;
  bool interrupted = false;
};

/// One answer, as it arrives.
struct PingAnswer {
  std::uint64_t number;  ///< 1 for the first packet
  std::size_t byte_count;
  const PathPlan* plan;
  std::uint64_t round_trip_us;
};

[[nodiscard]] Result<PingResult> ping(Wire& wire, NetworkSource& network,
                                      const PingOptions& options, const Random& random, Talk& talk,
                                      const std::function<void(const PingAnswer&)>& on_answer);

/// The verb: sockets, output, exit code (0; 1: everything lost; 2: options; 4: no path).
[[nodiscard]] int run_client_ping(const PingOptions& options);

/// Minimum, median, maximum; all 0 for none.
struct Spread {
  std::uint64_t min = 0;
  std::uint64_t median = 0;
  std::uint64_t max = 0;
};

[[nodiscard]] Spread spread_of(std::vector<std::uint64_t> values);

}  // namespace allium::client
