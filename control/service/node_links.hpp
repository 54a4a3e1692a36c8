// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ways out of a service node: to other nodes by OMQ, to servers outside by HTTP.
//
//   Ownership  borrows the endpoint, the client and the membership.
//   Threads    the service thread.

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>

#include "control/service/https/https_client.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/onion_requests.hpp"
#include "control/service/peer_transport.hpp"

namespace allium::control {

/// Loopback, link-local, multicast, and what else is not on the Internet.
[[nodiscard]] bool is_private_address(const boost::asio::ip::address& address);

class NodeLinks final : public PeerTransport, public OnionLinks {
 public:
  NodeLinks(boost::asio::io_context& io, OmqEndpoint& omq, HttpsClient& https)
      : io_(io), omq_(omq), https_(https) {}

  ~NodeLinks() override;

  /// Asked before an onion request goes to a node.
  void set_is_dead(std::function<bool(const NodeKey&)> is_dead) { is_dead_ = std::move(is_dead); }

  /// Told of a node that let an onion request time out.
  void set_on_timeout(std::function<void(const NodeKey&)> on_timeout) {
    on_timeout_ = std::move(on_timeout);
  }

  void request(const ServiceNode& node, std::string command, PeerParts parts,
               std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) override;
  void after(std::uint64_t delay_ms, std::function<void()> then) override;

  [[nodiscard]] bool is_unreachable(const ServiceNode& node) const override;
  void to_node(const ServiceNode& node, std::string part,
               std::function<void(Result<std::vector<std::string>>)> done) override;
  void to_server(const OnionForServer& server,
                 std::function<void(Result<OnionAnswer>)> done) override;

 private:
  boost::asio::io_context& io_;
  OmqEndpoint& omq_;
  HttpsClient& https_;
  std::function<bool(const NodeKey&)> is_dead_;
  std::function<void(const NodeKey&)> on_timeout_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
