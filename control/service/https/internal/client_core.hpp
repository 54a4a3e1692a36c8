// SPDX-License-Identifier: Apache-2.0
#pragma once

// What all requests of a client share.
//
//   Ownership  an exchange shares it; it knows exchanges weakly, to stop them.
//   Threads    the service thread.

#include <array>
#include <memory>
#include <unordered_set>

#include <boost/asio/io_context.hpp>

#include "control/service/https/https_client.hpp"
#include "control/service/https/internal/connection_pool.hpp"
#include "control/service/https/internal/tls_context.hpp"

namespace allium::control {

class ClientExchange;

struct ClientCore {
  ClientCore(boost::asio::io_context& io, ClientOptions the_options)
      : service(io),
        options(std::move(the_options)),
        pool(std::make_shared<ConnectionPool>(io, options)) {}

  boost::asio::io_context& service;
  ClientOptions options;
  std::shared_ptr<ConnectionPool> pool;
  TlsContext trusting_context;  ///< Trust::anyone
  TlsContext
      verifying_context;  ///< Trust::system_roots; made at its first use, for the roots take memory
  ClientCounters counters;
  std::unordered_set<ClientExchange*> exchanges;
  std::size_t answers_bytes = 0;        ///< bodies that have begun to arrive
  std::array<char, 64 * 1024> scratch;  ///< where exchanges read to
  bool stopped = false;
};

}  // namespace allium::control
