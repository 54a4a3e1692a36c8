// SPDX-License-Identifier: Apache-2.0
#pragma once

// An endpoint on loopback, with a list of service nodes that a test changes.

#include <set>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "crypto_accel/base/check.hpp"
#include "tests/unit/omq/raw_peer.hpp"

namespace allium::control::test {

inline tcp::endpoint loopback() {
  return {boost::asio::ip::address_v4::loopback(), 0};
}

class TestNode {
 public:
  explicit TestNode(boost::asio::io_context& io, std::uint8_t seed = 1, OmqOptions options = {})
      : keys_(key_pair(seed)) {
    options.listen = {loopback()};
    auto opened = OmqEndpoint::open(io, keys_.secret, std::move(options),
                                    [this](const X25519Key& key) { return nodes.contains(key); });
    ALLIUM_CHECK(opened.has_value());
    omq = std::move(*opened);
  }

  [[nodiscard]] const X25519Key& key() const { return keys_.key; }

  [[nodiscard]] const KeyPair& keys() const { return keys_; }

  [[nodiscard]] tcp::endpoint endpoint() const { return omq->listening().front(); }

  [[nodiscard]] OmqPeer peer() const { return {key(), endpoint()}; }

  void add_echo(const std::string& name, OmqAccess access = OmqAccess::open) {
    omq->add_command(name, access, OmqForm::request,
                     [](OmqCommand command, const OmqReply& reply) { reply(command.parts); });
  }

  std::set<X25519Key> nodes;
  std::unique_ptr<OmqEndpoint> omq;

 private:
  KeyPair keys_;
};

}  // namespace allium::control::test
