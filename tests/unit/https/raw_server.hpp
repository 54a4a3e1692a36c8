// SPDX-License-Identifier: Apache-2.0
#pragma once

// A plain server on loopback that follows a script, connection by connection; not built on the code
// under test.

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace allium::control::test {

/// One accepted connection, with calls that block.
class RawPeer {
 public:
  explicit RawPeer(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}

  /// Header and body of one request; empty: the client has gone.
  std::string receive_request();
  void send(const std::string& text);

  /// Blocks until the client closes.
  void await_end();

 private:
  boost::asio::ip::tcp::socket socket_;
  std::string input_;
};

class RawServer {
 public:
  using Script = std::function<void(RawPeer&)>;

  /// The connections are accepted one after the other, each once the script before it has returned.
  explicit RawServer(std::vector<Script> scripts);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

}  // namespace allium::control::test
