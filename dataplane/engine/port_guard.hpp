// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps the kernel quiet on the onion port. On AF_PACKET the kernel sees every onion packet too, and
// without a socket there it would answer ICMP port unreachable. The guard is a UDP socket that owns the
// port and whose filter drops everything.
//
//   Ownership  closes its sockets at the end.
//   Errors     Errc::unavailable: somebody else has the port.

#include <cstdint>

#include "crypto_accel/base/result.hpp"

namespace allium::dataplane {

class PortGuard {
 public:
  static Result<PortGuard> open(std::uint16_t onion_port);
  PortGuard() = default;
  ~PortGuard();
  PortGuard(PortGuard&& other) noexcept;
  PortGuard& operator=(PortGuard&& other) noexcept;

 private:
  int descriptor_ = -1;
};

}  // namespace allium::dataplane
