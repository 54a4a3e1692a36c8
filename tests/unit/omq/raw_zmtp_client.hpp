// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client that speaks ZMTP 3.1 with CURVE (RFC 37, RFC 26) over a bare TCP connection: for what libzmq as the other side does not do when a
// test wants it, heartbeats and resets. Blocks, but for what it does to run the node meanwhile.
//
//   Errors   ALLIUM_CHECK: a node that does not do its part is a failed test.

#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "tests/unit/omq/curve_client.hpp"
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
  [[nodiscard]] std::string ping(std::string_view context = {});

  /// What the node says next: the flags and the text of a frame.
  [[nodiscard]] std::string receive(boost::asio::io_context& io);

  void write(std::string_view bytes);

  /// Ends the connection by RST.
  void reset();

 private:
  [[nodiscard]] std::string read(boost::asio::io_context& io, std::size_t count);
  [[nodiscard]] std::string read_frame(boost::asio::io_context& io);

  tcp::socket socket_;
  KeyPair own_;
  CurveClient curve_;
};

}  // namespace allium::control::test
