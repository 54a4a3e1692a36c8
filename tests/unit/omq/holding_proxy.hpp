// SPDX-License-Identifier: Apache-2.0
#pragma once

// Stands between two ends of a TCP connection, and keeps what is beyond a bound: so that one end has a message in part, which libzmq
// would never send.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control::test {

class HoldingProxy {
 public:
  struct Bounds {
    std::size_t of_caller = SIZE_MAX;  ///< bytes that whoever connects here gets through
    std::size_t of_called = SIZE_MAX;  ///< bytes that come back
  };

  /// Takes one connection on loopback, and makes another one `from` an address of loopback `to` the other end.
  HoldingProxy(boost::asio::io_context& io, const tcp::endpoint& to, const Bounds& bounds,
               const std::string& from = "127.0.0.1");

  [[nodiscard]] tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  /// One end has ended it.
  [[nodiscard]] bool is_over() const { return *is_over_; }

 private:
  tcp::acceptor acceptor_;
  std::shared_ptr<bool> is_over_ = std::make_shared<bool>(false);
};

}  // namespace allium::control::test
