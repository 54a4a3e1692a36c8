// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium client echo`: a file through a path to ECHO and back in D packets, compared by SHA-256.
//
//   Units      seconds in options, microseconds in results.
//   Errors     echo_file: what PathKeeper says; Errc::timeout where nothing comes back for `give_up_s`.
//   Threads    one.
//   Limits     EchoTransfer::kFileBytesMax.

#include <cstdint>
#include <string>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/client/client_path.hpp"
#include "tools/client/echo_transfer.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/talk.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

struct EchoOptions {
  std::string file;
  std::string out;  ///< where the copy that came back goes; empty: nowhere
  PathChoice path;
  std::uint64_t give_up_s = 120;
  bool trace = false;
  bool json = false;
  std::string network_file;  ///< empty: the running devnet
  std::string authority;     ///< public key, hex; with network_file
};

struct EchoResult {
  std::vector<std::uint8_t> received;
  EchoTransfer::Counts counts;
  IgnoredCounts ignored;
  std::uint64_t paths_opened = 0;
  std::uint64_t open_us = 0;
  std::uint64_t duration_us = 0;    ///< first packet to last chunk
  std::uint64_t round_trip_us = 0;  ///< smoothed, at the end
  std::uint64_t stalled_us = 0;     ///< all stalls together
  std::vector<std::string> hops;    ///< of the last path, entry first
  bool complete = false;            ///< false: interrupted
};

[[nodiscard]] Result<EchoResult> echo_file(Wire& wire, NetworkSource& network,
                                           const EchoOptions& options, Bytes file,
                                           const Random& random, Talk& talk);

/// The verb: file, sockets, output, exit code (0; 1: the copy differs; 2: options or file; 4: no path, or
/// it went silent).
[[nodiscard]] int run_client_echo(const EchoOptions& options);

}  // namespace allium::client
