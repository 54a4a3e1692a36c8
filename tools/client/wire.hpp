// SPDX-License-Identifier: Apache-2.0
#pragma once

// The client's only door to the outside: datagrams and time. The program has sockets behind it
// (udp_wire.hpp), the tests a network in memory with a clock of their own.
//
//   Units      unix_ms is UTC, Unix milliseconds: what slots and epochs come from. tick_us never steps
//              back and has no epoch: what round trips and timers come from.
//   Errors     sending never fails: UDP promises nothing, and what is lost is sent again. ICMP errors are
//              anybody's word and are ignored.
//   Threads    one.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::client {

struct Moment {
  std::uint64_t unix_ms = 0;
  std::uint64_t tick_us = 0;
};

/// "No deadline" wherever a tick is asked for.
inline constexpr std::uint64_t kNever = ~std::uint64_t{0};

class Wire {
 public:
  Wire() = default;
  virtual ~Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  [[nodiscard]] virtual Moment now() = 0;

  virtual void send(const onion::Endpoint& target, Bytes datagram) = 0;

  struct Arrival {
    onion::Endpoint source;
    std::size_t byte_count;  ///< at most the buffer's size; a longer datagram is not reported
  };

  /// Waits for a datagram until `deadline_us` (a tick; one in the past: does not wait) or until the user
  /// interrupts. Nullopt: none came.
  [[nodiscard]] virtual std::optional<Arrival> receive(MutableBytes buffer,
                                                       std::uint64_t deadline_us) = 0;

  /// True once the user has asked to end (SIGINT, SIGTERM).
  [[nodiscard]] virtual bool interrupted() { return false; }
};

}  // namespace allium::client
