// SPDX-License-Identifier: Apache-2.0
#pragma once

// The client's kept connections and TLS sessions, by destination.
//
//   Ownership  owns idle channels; lent ones belong to the exchange that took them.
//   Threads    the service thread.
//   Limits     ClientOptions.

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/https_client.hpp"
#include "control/service/https/internal/channel.hpp"
#include "control/service/https/internal/tls_context.hpp"

namespace allium::control {

/// Scheme, host, port and trust as one text: what may share connections.
[[nodiscard]] std::string destination_of(const Url& url);

class ConnectionPool : public std::enable_shared_from_this<ConnectionPool> {
 public:
  using ChannelPtr = std::shared_ptr<Channel>;

  ConnectionPool(boost::asio::io_context& service, const ClientOptions& options);

  /// One more request for the destination. False: requests_max or requests_per_host_max.
  [[nodiscard]] bool begin_request(const std::string& destination);
  void end_request(const std::string& destination);

  /// The connection kept last, for it lives likeliest; null where there is none.
  [[nodiscard]] ChannelPtr take(const std::string& destination);

  /// Keeps a channel on which nothing is outstanding, or closes it.
  void give(const std::string& destination, ChannelPtr channel);

  /// The session to offer in a handshake; null where there is none.
  [[nodiscard]] SSL_SESSION* session_of(const std::string& destination) const;

  /// Remembers the channel's session where it can be resumed.
  void remember_session(const std::string& destination, const Channel& channel);

  [[nodiscard]] std::size_t idle_count() const noexcept { return idle_count_; }

  void close();

 private:
  struct Idle {
    ChannelPtr channel;
    std::chrono::steady_clock::time_point until;
  };

  struct Host {
    std::list<Idle> idle;  ///< kept last at the end
    TlsSession session;
    std::size_t request_count = 0;
  };

  void watch(const std::string& destination, const ChannelPtr& channel);
  [[nodiscard]] bool is_idle(const std::string& destination, const ChannelPtr& channel) const;
  void hear(const std::string& destination, const ChannelPtr& channel);
  void sweep_later();
  void sweep();
  void forget_surplus();

  const ClientOptions& options_;
  boost::asio::steady_timer timer_;
  std::unordered_map<std::string, Host> hosts_;
  std::size_t request_count_ = 0;
  std::size_t idle_count_ = 0;
  bool timer_runs_ = false;
  bool closed_ = false;
};

}  // namespace allium::control
