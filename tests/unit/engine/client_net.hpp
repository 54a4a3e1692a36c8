// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a test client needs of the network under it, whether rings in memory or namespaces and sockets.

#include <cstdint>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "relay_keys.hpp"

namespace allium::dataplane {

/// What reached the client.
struct Arrived {
  onion::Endpoint source;
  std::vector<std::uint8_t> datagram;
};

class ClientNet {
 public:
  ClientNet() = default;
  virtual ~ClientNet() = default;
  ClientNet(const ClientNet&) = delete;
  ClientNet& operator=(const ClientNet&) = delete;

  [[nodiscard]] virtual std::uint64_t now_ms() const = 0;

  [[nodiscard]] virtual RelayName relay_name(std::size_t index) const = 0;

  /// A datagram from the client to a relay. False: it did not get away.
  virtual bool send(std::size_t relay_index, Bytes datagram) = 0;

  /// Waits until `count` datagrams are here or nothing moves any more, and hands over what came.
  [[nodiscard]] virtual std::vector<Arrived> collect(std::size_t count) = 0;

  [[nodiscard]] virtual control_port::Counters counters(std::size_t relay_index) = 0;

  /// The relay's process dies without warning and is started again with the memory that outlives it.
  virtual void crash(std::size_t relay_index) = 0;
};

}  // namespace allium::dataplane
