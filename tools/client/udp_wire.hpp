// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ordinary UDP sockets: one for IPv4 and one for IPv6, each with an ephemeral port of its own. They are
// not connected, so ICMP errors of one relay do not reach us as errors of a socket.
//
//   Ownership  owns its descriptors. At most one object a process may `catch_interrupts`.
//   Errors     open() fails with Errc::io.
//   Threads    one.

#include <memory>

#include "crypto_accel/base/result.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

class UdpWire final : public Wire {
 public:
  [[nodiscard]] static Result<std::unique_ptr<UdpWire>> open();
  ~UdpWire() override;

  /// SIGINT and SIGTERM end waits and set interrupted() instead of ending the process.
  void catch_interrupts();

  [[nodiscard]] Moment now() override;
  void send(const onion::Endpoint& target, Bytes datagram) override;
  [[nodiscard]] std::optional<Arrival> receive(MutableBytes buffer,
                                               std::uint64_t deadline_us) override;
  [[nodiscard]] bool interrupted() override;

 private:
  UdpWire() = default;
  [[nodiscard]] std::optional<Arrival> take(int socket, MutableBytes buffer);

  int socket_v4_ = -1;
  int socket_v6_ = -1;  ///< -1 where the machine has no IPv6
  bool v6_first_ = false;
};

}  // namespace allium::client
