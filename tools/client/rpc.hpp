// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium rpc METHOD PARAMS`: a storage RPC of Session's service nodes, by a path of one's choice, over either lane: one-shot
// onion packets, or Session's onion requests v2 over HTTPS.
//
//   Threads    one.

#include <cstddef>
#include <string>

#include "tools/client/network_view.hpp"

namespace allium::client {

enum class Lane : std::uint8_t { fast, compat };

struct RpcOptions {
  std::string method;
  std::string params = "{}";  ///< a JSON object
  Lane lane = Lane::fast;
  PathChoice path;              ///< by chance: the last hop is one of the account's swarm
  std::string account_file;     ///< an identity file; empty: parameters go as they are
  std::string passphrase_file;  ///< of a sealed one
  std::string data_file;        ///< becomes "data"; "-": standard input; empty: none
  std::string network_file;     ///< empty: the running devnet
  std::string authority;
  bool trace = false;
  bool json = false;  ///< one object with path, status and body, instead of the body alone
};

/// The verb: sockets, output, exit code (0: status 200; 1: another status; 2: options; 4: no answer).
[[nodiscard]] int run_rpc(const RpcOptions& options);

}  // namespace allium::client
