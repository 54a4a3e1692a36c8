// SPDX-License-Identifier: Apache-2.0
#pragma once

// The dataplane's end of the control port (dataplane/control_port/messages.hpp): one Unix SOCK_SEQPACKET
// listener, one controller at a time, messages into calls of the engine.
//
//   Ownership  owns the listener, the connection and the mappings of the memfds; borrows the engine.
//   Errors     a controller that breaks the layout or the order is cut off; the relay goes on.
//   Threads    the main thread.
//   Limits     one message a call of serve(); messages of kMessageBytesMax.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/engine/engine.hpp"

namespace allium::dataplane {

struct ControlServerConfig {
  std::string path;
  control_port::Welcome welcome;
  /// Called after a snapshot was taken into use: where this relay is known to be, its relays, and the time from
  /// which packets are accepted.
  std::function<void(const onion::Endpoint& own, const std::vector<onion::PeerConfig>& peers,
                     std::uint64_t accepts_from_ms)>
      on_snapshot;
};

class ControlServer {
 public:
  /// A socket file that nobody listens on is replaced. Fails with Errc::unavailable.
  static Result<std::unique_ptr<ControlServer>> open(ControlServerConfig config, Engine& engine);
  ~ControlServer();  ///< removes the socket file
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  [[nodiscard]] int listener() const noexcept;

  /// -1 where there is no controller.
  [[nodiscard]] int connection() const noexcept;

  void accept_one() noexcept;

  /// Takes one message and answers it. False: the controller asked for a clean end.
  bool serve();

  /// Hands deliveries of services to the controller, as many as its socket takes.
  void push_deliveries();

 private:
  struct State;

  explicit ControlServer(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::dataplane
