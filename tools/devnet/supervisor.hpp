// SPDX-License-Identifier: Apache-2.0
#pragma once

// The resident process of a devnet: lays out the network, runs the nodes and keeps the memory that outlives their processes,
// publishes the network document, answers the verbs.
//
//   Ownership  everything of the devnet; when it ends, all goes.
//   Errors     start-up says why; later, a relay that crashes is started again and counted.
//   Threads    one, asleep in poll() unless something happens.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

struct DevnetOptions {
  std::size_t node_count = 12;
  std::optional<std::uint64_t> seed;
  bool no_huge = false;
  std::size_t worker_count = 1;
  std::string dataplane_program;  ///< allium-dp
  std::string service_program;    ///< alliumd
};

/// Starts a devnet in a process of its own and returns when all its relays accept packets. `progress` gets
/// lines for people. Errc::refused: one is running already.
Result<void> start_devnet(const DevnetOptions& options,
                          const std::function<void(const std::string&)>& progress);

/// Ends the devnet and removes what it made, also what a crashed one left. False: there was nothing.
Result<bool> stop_devnet();

}  // namespace allium::devnet
