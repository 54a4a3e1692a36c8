// SPDX-License-Identifier: Apache-2.0
#include "control/service/node_links.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace allium::control {
namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kOnionTimeout{30'000};
constexpr std::chrono::milliseconds kServerTimeout{25'000};

// Of this node's own requests others are left their half: members of the swarm are asked whatever clients do.
constexpr std::size_t kOnionRelaysMax = OmqLimits{}.requests / 2;

std::uint64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

std::optional<OmqPeer> peer_of(const ServiceNode& node) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(node.ip, error);
  if (error) {
    return std::nullopt;
  }
  return OmqPeer{node.x25519, {address, node.omq_port}};
}

}  // namespace

bool is_private_address(const asio::ip::address& address) {
  if (address.is_v6()) {
    const auto v6 = address.to_v6();
    if (v6.is_v4_mapped()) {
      return is_private_address(asio::ip::make_address_v4(asio::ip::v4_mapped, v6));
    }
    const auto bytes = v6.to_bytes();
    // What other systems turn into an IPv4 address: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380), and IPv4-compatible
    // ones (RFC 4291, given up), of which :: and ::1 are two.
    const bool is_nat64 =
        bytes[0] == 0x00 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b;
    const bool is_6to4 = bytes[0] == 0x20 && bytes[1] == 0x02;
    const bool is_teredo = bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0 && bytes[3] == 0;
    const bool is_v4_compatible =
        std::all_of(bytes.begin(), bytes.begin() + 12, [](auto byte) { return byte == 0; });
    // fc00::/7 besides what Asio knows.
    return v6.is_link_local() || v6.is_site_local() || v6.is_multicast() || is_nat64 || is_6to4 ||
           is_teredo || is_v4_compatible || (bytes[0] & 0xfe) == 0xfc;
  }
  const auto bytes = address.to_v4().to_bytes();
  return bytes[0] == 0 || bytes[0] == 10 || bytes[0] == 127 || bytes[0] >= 224 ||
         (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) || (bytes[0] == 192 && bytes[1] == 168) ||
         (bytes[0] == 192 && bytes[1] == 0 && (bytes[2] == 0 || bytes[2] == 2)) ||
         (bytes[0] == 198 && (bytes[1] & 0xfe) == 18) || (bytes[0] == 169 && bytes[1] == 254) ||
         (bytes[0] == 100 && (bytes[1] & 0xc0) == 64);
}

NodeLinks::NodeLinks(asio::io_context& io, const Membership& membership, OmqEndpoint& omq,
                     HttpsClient& https)
    : io_(io), omq_(omq), https_(https), reach_({membership, *this, steady_ms}) {}

NodeLinks::~NodeLinks() {
  *is_alive_ = false;
}

void NodeLinks::request(const ServiceNode& node, std::string command, PeerParts parts,
                        std::uint64_t timeout_ms, std::function<void(Result<PeerParts>)> done) {
  const std::optional<OmqPeer> peer = peer_of(node);
  if (!peer) {
    asio::post(io_, [done = std::move(done)] {
      done(fail(Errc::unavailable, "the node has no address"));
    });
    return;
  }
  omq_.request(*peer, std::move(command), std::move(parts), std::chrono::milliseconds(timeout_ms),
               [this, is_alive = is_alive_, key = node.ed25519,
                done = std::move(done)](Result<OmqParts> reply) {
                 if (*is_alive) {
                   note(key, reply);
                 }
                 done(std::move(reply));
               });
}

void NodeLinks::after(std::uint64_t delay_ms, std::function<void()> then) {
  auto timer = std::make_shared<asio::steady_timer>(io_, std::chrono::milliseconds(delay_ms));
  timer->async_wait([timer, then = std::move(then)](const boost::system::error_code& error) {
    if (!error) {
      then();
    }
  });
}

bool NodeLinks::is_unreachable(const ServiceNode& node) const {
  return reach_.is_dead(node.ed25519);
}

void NodeLinks::note(const NodeKey& key, const Result<PeerParts>& reply) {
  if (reply || reply.error().code == Errc::refused) {
    reach_.heard(key);
  } else if (reply.error().code == Errc::timeout) {
    reach_.suspect(key);
  }
}

void NodeLinks::to_node(const ServiceNode& node, std::string part,
                        std::function<void(Result<std::vector<std::string>>)> done) {
  const std::optional<OmqPeer> peer = peer_of(node);
  if (!peer) {
    done(fail(Errc::unavailable, "the node has no address"));
    return;
  }
  if (relays_ >= kOnionRelaysMax) {
    done(fail(Errc::full, "too many onion requests without an answer"));
    return;
  }
  ++relays_;
  const auto finish = [only = std::make_shared<decltype(done)>(std::move(done))](
                          Result<std::vector<std::string>> parts) {
    if (const auto then = std::exchange(*only, nullptr)) {
      then(std::move(parts));
    }
  };
  const std::uint64_t number = reach_.begun(node.ed25519, part.size(), [finish] {
    finish(fail(Errc::unavailable, "the node has been found dead"));
  });
  omq_.request(
      *peer, "sn.onion_request", {std::move(part)}, kOnionTimeout,
      [this, is_alive = is_alive_, key = node.ed25519, number, finish](Result<OmqParts> parts) {
        if (*is_alive) {
          --relays_;
          reach_.ended(key, number);
          note(key, parts);
        }
        finish(std::move(parts));
      },
      OmqPriority::low);
}

void NodeLinks::to_server(const OnionForServer& server,
                          std::function<void(Result<OnionAnswer>)> done) {
  const Url url = {server.scheme, server.host, server.port, server.target, Trust::anyone};
  https_.post(url, {{"Content-Type", "application/octet-stream"}}, server.layer, kServerTimeout,
              [done = std::move(done)](Result<HttpResponse> response) {
                if (!response) {
                  const bool is_forbidden = response.error().code == Errc::refused;
                  done(is_forbidden
                           ? fail(Errc::unavailable, "this exit posts to the Internet only")
                           : tl::unexpected(response.error()));
                  return;
                }
                done(OnionAnswer{static_cast<Status>(response->status), std::move(response->body)});
              });
}

}  // namespace allium::control
