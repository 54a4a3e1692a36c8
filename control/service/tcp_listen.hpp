// SPDX-License-Identifier: Apache-2.0
#pragma once

// A listening TCP socket. One for an IPv6 address takes IPv6 alone, so that "0.0.0.0" and "[::]" can stand side by side, each with the
// same port.
//
//   Ownership  the caller's acceptor.
//   Errors     the system's.
//   Threads    the caller's.

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>

namespace allium::control {

[[nodiscard]] inline boost::system::error_code listen_on(
    boost::asio::ip::tcp::acceptor& acceptor, const boost::asio::ip::tcp::endpoint& endpoint,
    int backlog) {
  using boost::asio::ip::tcp;
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error && endpoint.address().is_v6()) {
    acceptor.set_option(boost::asio::ip::v6_only(true), error);
  }
  if (!error) {
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  }
  if (!error) {
    acceptor.bind(endpoint, error);
  }
  if (!error) {
    acceptor.listen(backlog, error);
  }
  return error;
}

}  // namespace allium::control
