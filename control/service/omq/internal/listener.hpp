// SPDX-License-Identifier: Apache-2.0
#pragma once

// The sockets that let others in: the ROUTER with CURVE, the handler that ZeroMQ asks about each
// new connection (ZAP, RFC 27), and the monitor that tells which TCP connections there are.
//
//   Ownership  owns the three sockets and the TCP sockets; borrows what it is made with.
//   Threads    the service thread.

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/spare_descriptor.hpp"
#include "control/service/omq/internal/zap.hpp"
#include "control/service/omq/internal/zmq_monitor.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class Listener {
 public:
  /// Called with who is to lose its connection for another one that has come.
  using GivesWay = std::function<void(const Output& output)>;

  /// `drain` is called when messages may have come; see ZmqSocket::watch. Errc::io.
  [[nodiscard]] static Result<std::unique_ptr<Listener>> open(
      boost::asio::io_context& io, const ZmqContext& context, const Secret<32>& secret,
      const std::vector<boost::asio::ip::tcp::endpoint>& endpoints, ConnectionTable& table,
      Admit admit, GivesWay gives_way, std::function<void()> drain);

  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Another one after renew().
  [[nodiscard]] const std::shared_ptr<ZmqSocket>& router() const noexcept { return router_; }

  [[nodiscard]] const std::vector<boost::asio::ip::tcp::endpoint>& endpoints() const noexcept {
    return endpoints_;
  }

  /// Ends every connection that came in, also those that libzmq does not know to be over, and goes on at the same TCP sockets. Errc::io:
  /// everything is as it was.
  [[nodiscard]] Result<void> renew();

  /// Answers ZeroMQ's questions, then notes connections that came and went. In this order, and
  /// before messages are read: a descriptor's end is told before its number comes again, since the
  /// new one waits for our answer.
  void drain_events();

  /// Ends a client's TCP connection. libzmq has no call for that, so it is shut down under it, if the descriptor is still that connection's.
  void cut(const Output& output) const;

 private:
  Listener(boost::asio::io_context& io, const ZmqContext& context, const Secret<32>& secret,
           ConnectionTable& table, Admit admit, GivesWay gives_way, std::function<void()> drain)
      : io_(io),
        context_(context),
        secret_(secret),
        table_(table),
        admit_(std::move(admit)),
        gives_way_(std::move(gives_way)),
        drain_(std::move(drain)) {}

  void close();
  [[nodiscard]] Result<void> listen(const std::vector<boost::asio::ip::tcp::endpoint>& endpoints);

  [[nodiscard]] bool is_connection(int descriptor,
                                   const boost::asio::ip::tcp::endpoint& peer) const;
  void note(int descriptor);

  void drain_monitor();

  boost::asio::io_context& io_;
  const ZmqContext& context_;
  const Secret<32>& secret_;
  ConnectionTable& table_;
  Admit admit_;
  GivesWay gives_way_;
  std::function<void()> drain_;
  std::vector<boost::asio::ip::tcp::acceptor> acceptors_;  ///< libzmq accepts, from copies of them
  std::uint64_t renewals_ = 0;
  std::shared_ptr<ZmqSocket> zap_;
  std::shared_ptr<ZmqSocket> router_;
  std::unique_ptr<ZmqMonitor> monitor_;
  std::vector<boost::asio::ip::tcp::endpoint> endpoints_;
  SpareDescriptor spare_;
};

}  // namespace allium::control
