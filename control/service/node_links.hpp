// SPDX-License-Identifier: Apache-2.0
#pragma once

// The ways out of a service node: to other nodes by OMQ, to servers outside by HTTP. Every answer of a node, and every one that does not
// come, tells NodeReach whether it is there.
//
//   Ownership  borrows the endpoint, the client and the membership.
//   Threads    the service thread.

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>

#include "control/service/https/https_client.hpp"
#include "control/service/membership.hpp"
#include "control/service/node_reach.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/onion_requests.hpp"
#include "control/service/peer_transport.hpp"

namespace allium::control {

/// Loopback, link-local, multicast, and what else is not on the Internet.
[[nodiscard]] bool is_private_address(const boost::asio::ip::address& address);

class NodeLinks final : public PeerTransport, public OnionLinks {
 public:
  NodeLinks(boost::asio::io_context& io, const Membership& membership, OmqEndpoint& omq,
            HttpsClient& https);

  ~NodeLinks() override;

  void request(const ServiceNode& node, std::string command, PeerParts parts,
               std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) override;
  void after(std::uint64_t delay_ms, std::function<void()> then) override;

  [[nodiscard]] bool is_unreachable(const ServiceNode& node) const override;
  void to_node(const ServiceNode& node, std::string part,
               std::function<void(Result<std::vector<std::string>>)> done) override;
  void to_server(const OnionForServer& server,
                 std::function<void(Result<OnionAnswer>)> done) override;

 private:
  /// What a reply says about the node.
  void note(const NodeKey& key, const Result<PeerParts>& reply);

  boost::asio::io_context& io_;
  OmqEndpoint& omq_;
  HttpsClient& https_;
  NodeReach reach_;
  std::size_t relays_ = 0;  ///< onion requests that nodes have not answered
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace allium::control
