// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tells which TCP connections a ZeroMQ socket has (zmq_socket_monitor(3)).
//
//   Ownership  shares the socket that it is about, and has to go before that is closed: libzmq's thread would wait for ever to tell
//              somebody who is no more.
//   Errors     Errc::io, as ZmqSocket::make.
//   Threads    the service thread.
//   Limits     none, or libzmq's thread would wait for room and hold every connection up: it has to be read.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "control/service/omq/internal/zmq_socket.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

struct ZmqConnectionEvent {
  enum class Kind : std::uint8_t { came, went };

  Kind kind = Kind::came;
  int descriptor = -1;  ///< of the connection; may be another file's by now
};

class ZmqMonitor {
 public:
  /// Before the socket is bound or connected. `name`: no other one's of the context.
  [[nodiscard]] static Result<std::unique_ptr<ZmqMonitor>> make(boost::asio::io_context& io,
                                                                const ZmqContext& context,
                                                                std::shared_ptr<ZmqSocket> of,
                                                                const std::string& name);

  ~ZmqMonitor();
  ZmqMonitor(const ZmqMonitor&) = delete;
  ZmqMonitor& operator=(const ZmqMonitor&) = delete;

  /// Nothing: no more for now.
  [[nodiscard]] std::optional<ZmqConnectionEvent> next();

  /// See ZmqSocket::watch.
  void watch(std::function<void()> drain) { events_->watch(std::move(drain)); }

 private:
  ZmqMonitor(std::shared_ptr<ZmqSocket> of, std::shared_ptr<ZmqSocket> events)
      : of_(std::move(of)), events_(std::move(events)) {}

  std::shared_ptr<ZmqSocket> of_;
  std::shared_ptr<ZmqSocket> events_;
};

}  // namespace allium::control
