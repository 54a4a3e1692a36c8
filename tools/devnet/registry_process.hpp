// SPDX-License-Identifier: Apache-2.0
#pragma once

// The devnet's registry over plain HTTP: for clients oxend's JSON-RPC (POST /json_rpc), with the service nodes of the devnet's
// document, and for nodes the document itself (GET /document). A process of its own, forked from the supervisor.
//
//   Ownership  owns the process.
//   Errors     Errc::unavailable.
//   Threads    start() needs a process with one thread.

#include <sys/types.h>

#include <string>

#include "control/network/ed25519.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

/// On the bridge's addresses.
inline constexpr std::uint16_t kRegistryPort = 22023;
inline constexpr const char* kRegistryAddress = "10.88.0.1";

class RegistryProcess {
 public:
  RegistryProcess() = default;

  ~RegistryProcess() { stop(); }

  RegistryProcess(const RegistryProcess&) = delete;
  RegistryProcess& operator=(const RegistryProcess&) = delete;

  /// Watches the document, and answers when this returns.
  [[nodiscard]] Result<void> start(const std::string& document_path,
                                   const control::IdentityKey& authority);

  void stop() noexcept;

 private:
  pid_t pid_ = -1;
};

}  // namespace allium::devnet
