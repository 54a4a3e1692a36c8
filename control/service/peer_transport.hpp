// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a service node asks another one. OMQ in the daemon; tests have a network of their own, with losses and delays.
//
//   Threads   the service thread.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/network/service_nodes.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

using PeerParts = std::vector<std::string>;

class PeerTransport {
 public:
  PeerTransport() = default;
  PeerTransport(const PeerTransport&) = delete;
  PeerTransport& operator=(const PeerTransport&) = delete;
  virtual ~PeerTransport() = default;

  /// Calls `done` once, later: with the parts of the reply, or Errc::timeout, Errc::full, Errc::unavailable.
  virtual void request(const ServiceNode& node, std::string command, PeerParts parts,
                       std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) = 0;

  /// Calls `then` once after so many milliseconds.
  virtual void after(std::uint64_t delay_ms, std::function<void()> then) = 0;
};

}  // namespace allium::control
