// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the client's verbs share: exit codes, the way errors and talk reach a terminal, and the start of a
// run (network, then sockets).

#include <cstdint>
#include <memory>
#include <string>

#include "crypto_accel/base/result.hpp"
#include "tools/client/client_path.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/talk.hpp"
#include "tools/client/udp_wire.hpp"

namespace allium::client {

/// Exit codes, the same for all verbs of the CLI.
enum Exit : int {
  kExitDone = 0,
  kExitNegative = 1,
  kExitUsage = 2,
  kExitUnreachable = 4,
  kExitInternal = 70,
  kExitInterrupted = 130,
};

/// Lines on standard error.
[[nodiscard]] Talk talk_to_stderr(bool traced);

/// Prints "error: ..." and says which exit code belongs to it.
[[nodiscard]] int report(const Error& error);

struct Run {
  std::unique_ptr<NetworkSource> network;
  std::unique_ptr<UdpWire> wire;
};

[[nodiscard]] Result<Run> start_run(const std::string& network_file, const std::string& authority);

/// The path options hold together: hop count or names, and a class that takes as many hops.
[[nodiscard]] Result<void> check_path(const PathChoice& choice, onion::PacketClass packet_class);

/// A sum for humans: "12.3 MB".
[[nodiscard]] std::string in_megabytes(std::uint64_t bytes);

}  // namespace allium::client
