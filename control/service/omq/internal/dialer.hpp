// SPDX-License-Identifier: Apache-2.0
#pragma once

// This node's own connections to others: one DEALER for each peer, opened when it is first asked, closed when it is idle.
//
//   Ownership  borrows what it is made with; shared, so that what is posted can watch it.
//   Threads    the service thread.
//   Limits     OmqLimits::peers connections.

#include <cstdint>
#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/omq_identity.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

class Dialer : public std::enable_shared_from_this<Dialer> {
 public:
  using Link = ConnectionTable::Link;

  /// `drain` is called when messages may have come by a connection; see ZmqSocket::watch.
  Dialer(boost::asio::io_context& io, const ZmqContext& context, const OmqIdentity& identity,
         const OmqOptions& options, ConnectionTable& links,
         std::function<void(OmqConnection)> drain);

  /// The connection to `peer`; one to where it was before gives way as soon as nothing is open on it. Errc::full: all connections
  /// that there may be are in use. Errc::io.
  [[nodiscard]] Result<Link> link_to(const OmqPeer& peer);

  /// Closes what has been idle for OmqOptions::peer_idle, now and again and again.
  void close_idle();

 private:
  [[nodiscard]] Result<Link> connect(const OmqPeer& peer);

  boost::asio::io_context& io_;
  const ZmqContext& context_;
  const OmqIdentity& identity_;
  const OmqOptions& options_;
  ConnectionTable& links_;
  std::function<void(OmqConnection)> drain_;
  boost::asio::steady_timer idle_timer_;
  std::uint64_t last_number_ = 0;  ///< of connections, for the names of their monitors
};

}  // namespace allium::control
