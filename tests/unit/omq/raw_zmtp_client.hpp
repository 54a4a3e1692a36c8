// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client that speaks ZMTP 3.1 with CURVE (RFC 37, RFC 26) over a bare TCP connection: for what libzmq as the other side does not do when a
// test wants it, heartbeats and resets. Blocks, but for what it does to run the node meanwhile.
//
//   Errors   ALLIUM_CHECK: a node that does not do its part is a failed test.

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control::test {

class RawZmtpClient {
 public:
  /// Connects as a DEALER under a key of its own; `io` runs the node.
  RawZmtpClient(boost::asio::io_context& io, const tcp::endpoint& endpoint,
                const X25519Key& server);

  /// A message of these frames, as it goes over the wire. In the order in which it is sent.
  [[nodiscard]] std::string message(const Frames& frames);

  /// PING without a time to live.
  [[nodiscard]] std::string ping();

  void write(std::string_view bytes);

  /// Ends the connection by RST.
  void reset();

 private:
  [[nodiscard]] std::string read(boost::asio::io_context& io, std::size_t count);
  [[nodiscard]] std::string read_frame(boost::asio::io_context& io);
  [[nodiscard]] std::string next_nonce();
  [[nodiscard]] std::string sealed(std::uint8_t flags, std::string_view body);

  tcp::socket socket_;
  KeyPair session_;     ///< of this connection
  X25519Key server_{};  ///< the server's, of this connection
  std::uint64_t nonce_ = 0;
};

}  // namespace allium::control::test
