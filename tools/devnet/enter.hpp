// SPDX-License-Identifier: Apache-2.0
#pragma once

// How other verbs find the running devnet and step into its network.
//
//   Ownership  values.
//   Errors     Errc::not_found (no devnet runs, no such node), Errc::refused (it is another user's),
//              Errc::io.
//   Threads    find_devnet: any. enter_devnet: a process of one thread only, before it opens sockets or
//              enters anything else; it changes the whole process.

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

struct RunningDevnet {
  std::string directory;     ///< the runtime directory
  std::string network_file;  ///< the bundle, replaced whole when keys turn
  std::string authority;     ///< 64 hex digits
  pid_t supervisor_pid = 0;
  std::size_t node_count = 0;
};

/// The devnet of the runtime directory ($ALLIUM_DEVNET_DIR, or the user's own).
[[nodiscard]] Result<RunningDevnet> find_devnet();

/// Steps into the user and network namespace of the devnet (none: where 10.88.0.1 is, beside the bridge) or
/// of one node ("n3", or a prefix of its id). Inside already: nothing happens.
[[nodiscard]] Result<void> enter_devnet(std::optional<std::string_view> node);

}  // namespace allium::devnet
