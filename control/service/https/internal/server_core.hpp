// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all connections of a server share.
//
//   Ownership  owns the sessions until they close; a session shares the core, and a closed core has
//              none.
//   Threads    the service thread.

#include <array>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/https/https_server.hpp"
#include "control/service/https/internal/server_session.hpp"
#include "control/service/https/internal/tls_context.hpp"

namespace allium::control {

/// What all connections of one address use. There while there is a connection.
struct AddressUse {
  std::size_t connections = 0;
  std::size_t bodies_bytes = 0;
};

struct ServerCore {
  using Clock = std::chrono::steady_clock;

  ServerCore(boost::asio::io_context& io, ServerOptions the_options, const Random& the_random,
             Handler the_handler);

  /// Everything ends; nothing starts again.
  void stop();

  /// The text for the header Date; made once a second.
  [[nodiscard]] const std::string& date();

  boost::asio::io_context& service;
  ServerOptions options;
  Random random;
  Handler handler;
  std::string server_header;
  TlsContext context;  ///< null: plain HTTP
  ServerCounters counters;
  bool stopped = false;

  std::list<boost::asio::ip::tcp::acceptor> acceptors;
  std::list<std::shared_ptr<ServerSession>> sessions;
  // A session is in one of these at most; longest there first.
  std::list<ServerSession*> idle_sessions;
  std::list<ServerSession*> unfinished_sessions;  ///< in the handshake, or with a part of a request
  std::list<ServerSession*> writing_sessions;
  std::unordered_map<AddressBlock, AddressUse, AddressBlockHash> addresses;
  std::size_t bodies_bytes = 0;
  std::size_t answers_bytes = 0;

  /// Where sessions read to. They share it, since nothing stays there between two steps.
  std::array<char, 64 * 1024> scratch;

  boost::asio::steady_timer sweep_timer;
  Clock::time_point ticket_keys_until;
  std::int64_t date_seconds = -1;
  std::string date_text;
};

}  // namespace allium::control
