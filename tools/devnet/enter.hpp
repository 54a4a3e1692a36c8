// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a verb of the command gets into a running devnet: its namespaces, and its supervisor's ear.
//
//   Errors     Errc::not_found: no devnet runs; the text says how to start one. Errc::unavailable: it is
//              somebody else's.
//   Threads    one, in a process that has no other.

#include <optional>
#include <string>
#include <string_view>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

/// Moves this process into the devnet's network, next to the bridge; or into that of one node. Sets
/// ALLIUM_DEVNET_DIR, so that this process and its children go on finding the devnet.
Result<void> enter_devnet(std::optional<std::string_view> node = std::nullopt);

/// Sends one request (a JSON object in a line) to the supervisor and returns its answer (another). An answer
/// that is an error becomes one. Waits longer than the supervisor does for a node.
Result<std::string> ask_supervisor(const std::string& request, int timeout_ms = 40000);

/// The running supervisor's process; nothing where none runs.
[[nodiscard]] std::optional<int> running_supervisor();

}  // namespace allium::devnet
