// SPDX-License-Identifier: Apache-2.0
#pragma once

// The other end of an OMQ connection, made of bare libzmq: what a client, a node of another make,
// or an impostor would be. And the loop that runs an endpoint meanwhile.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control::test {

using Frames = std::vector<std::string>;
using boost::asio::ip::tcp;

struct KeyPair {
  Secret<32> secret;
  X25519Key key{};
};

[[nodiscard]] KeyPair key_pair(std::uint8_t seed);

/// "L" and the key: how service nodes name themselves.
[[nodiscard]] std::string node_routing_id(const X25519Key& key);

/// Far beyond what 10 MiB through CURVE take under a sanitizer beside other work: to end a test that hangs, not to measure one.
inline constexpr std::chrono::milliseconds kPatience{60'000};

/// Runs `io` until `is_done`, which may poll. False: not within the time.
bool run_until(boost::asio::io_context& io, const std::function<bool()>& is_done,
               std::chrono::milliseconds timeout = kPatience);

class RawPeer {
 public:
  RawPeer();
  ~RawPeer();
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  /// A DEALER. An empty routing id: none.
  void connect(const tcp::endpoint& endpoint, const X25519Key& server, const KeyPair& own,
               const std::string& routing_id = "");

  /// A ROUTER on a port of its own.
  [[nodiscard]] tcp::endpoint listen(const KeyPair& own);

  void send(const Frames& frames);
  [[nodiscard]] std::optional<Frames> try_receive();

  /// Runs `io` until a message has come. Empty: none within the time.
  [[nodiscard]] Frames receive(boost::asio::io_context& io,
                               std::chrono::milliseconds timeout = kPatience);

  /// Before connect: how many messages libzmq reads ahead of the program.
  void set_receive_bound(int messages) { receive_bound_ = messages; }

  /// Before connect: once cut off, it stays so.
  void never_reconnect() { reconnect_ms_ = -1; }

 private:
  void open(int type, const KeyPair& own);

  void* context_;
  void* socket_ = nullptr;
  int receive_bound_ = 1000;
  int reconnect_ms_ = 100;
};

}  // namespace allium::control::test
