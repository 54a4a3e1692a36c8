// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the verbs get their network from: the files that --network and --authority name, or the devnet that
// is running.
//
//   Errors     Errc::not_found: no devnet, no file; malformed, bad_signature: what control/network says.
//   Threads    one; for a devnet this thread has changed its namespaces when the call returns.

#include <memory>
#include <string>

#include "crypto_accel/base/result.hpp"
#include "tools/client/network_view.hpp"

namespace allium::client {

/// `network_file` empty: the running devnet, whose namespaces are entered; open sockets after this call.
[[nodiscard]] Result<std::unique_ptr<NetworkSource>> open_network(const std::string& network_file,
                                                                  const std::string& authority);

}  // namespace allium::client
