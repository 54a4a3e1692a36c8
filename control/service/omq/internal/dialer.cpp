// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/dialer.hpp"

#include <zmq.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include <sodium.h>

#include "control/service/omq/internal/frames.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using Clock = OmqLink::Clock;

constexpr int kPipeOutMessages = 16;
constexpr int kConnectMs = 5'000;
constexpr int kReconnectMs = 250;
constexpr int kReconnectMsMax = 5'000;
constexpr std::chrono::milliseconds kIdleIntervalMin{10};

/// How this node names itself to `peer`, and nobody else can: who knows the name may take the connection's place there (README.md).
/// The same each time, so that a new connection takes the place of one that is half open.
std::array<std::uint8_t, 33> routing_id_for(const X25519Key& peer, const Secret<32>& secret) {
  constexpr std::string_view kPurpose = "allium omq routing id";
  std::array<std::uint8_t, 33> routing_id{'A'};
  crypto_generichash_state state;
  crypto_generichash_init(&state, secret.data(), 32, 32);
  crypto_generichash_update(&state, reinterpret_cast<const std::uint8_t*>(kPurpose.data()),
                            kPurpose.size());
  crypto_generichash_update(&state, peer.data(), peer.size());
  crypto_generichash_final(&state, routing_id.data() + 1, 32);
  sodium_memzero(&state, sizeof state);
  return routing_id;
}

void set_up_dealer(ZmqSocket& socket, const OmqIdentity& identity, const X25519Key& peer) {
  socket.set(ZMQ_ROUTING_ID, routing_id_for(peer, identity.secret));
  socket.set(ZMQ_CURVE_SERVERKEY, peer);
  socket.set(ZMQ_CURVE_PUBLICKEY, identity.key);
  socket.set(ZMQ_CURVE_SECRETKEY, identity.secret.bytes());
  socket.set(ZMQ_IPV6, 1);
  socket.set(ZMQ_SNDHWM, kPipeOutMessages);
  socket.set(ZMQ_RCVHWM, kPipeInMessages);
  socket.set(ZMQ_HANDSHAKE_IVL, kHandshakeMs);
  socket.set(ZMQ_CONNECT_TIMEOUT, kConnectMs);
  socket.set(ZMQ_RECONNECT_IVL, kReconnectMs);
  socket.set(ZMQ_RECONNECT_IVL_MAX, kReconnectMsMax);
  socket.set_max_message_bytes(kFrameBytesMax);
}

}  // namespace

Dialer::Dialer(boost::asio::io_context& io, const ZmqContext& context, const OmqIdentity& identity,
               const OmqOptions& options, ConnectionTable& links,
               std::function<void(OmqConnection)> drain)
    : io_(io),
      context_(context),
      identity_(identity),
      options_(options),
      links_(links),
      drain_(std::move(drain)),
      idle_timer_(io) {}

Result<Dialer::Link> Dialer::link_to(const OmqPeer& peer) {
  Link link = links_.find_outgoing(peer.x25519);
  const bool has_moved = link && link->endpoint != peer.endpoint;
  if (has_moved && link->requested_count == 0 && link->served_count == 0) {
    links_.close(*link);
    link = nullptr;
  }
  if (link) {
    return link;
  }
  if (links_.outgoing_count() >= options_.limits.peers) {
    const Link idlest = links_.idlest_outgoing();
    if (!idlest) {
      return fail(Errc::full, "every connection to other nodes is in use");
    }
    links_.close(*idlest);
  }
  return connect(peer);
}

Result<Dialer::Link> Dialer::connect(const OmqPeer& peer) {
  auto made = ZmqSocket::make(io_, context_, ZMQ_DEALER);
  if (!made) {
    return tl::unexpected<Error>(made.error());
  }
  ZmqSocket& socket = **made;
  set_up_dealer(socket, identity_, peer.x25519);
  auto monitor = ZmqMonitor::make(io_, context_, *made, std::to_string(++last_number_));
  if (!monitor) {
    return tl::unexpected<Error>(monitor.error());
  }
  socket.connect(peer.endpoint);
  const Link link = links_.add_outgoing(peer, *made, std::move(*monitor));
  link->last_used = Clock::now();
  socket.watch([weak = weak_from_this(), number = link->number] {
    if (const std::shared_ptr<Dialer> self = weak.lock()) {
      self->drain_(number);
    }
  });
  return link;
}

void Dialer::close_idle() {
  const Clock::time_point idle_since = Clock::now() - options_.peer_idle;
  while (const Link link = links_.idlest_outgoing()) {
    if (link->last_used > idle_since) {
      break;
    }
    links_.close(*link);
  }
  idle_timer_.expires_after(std::max<Clock::duration>(options_.peer_idle / 4, kIdleIntervalMin));
  idle_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<Dialer> self = weak.lock();
    if (!error && self) {
      self->close_idle();
    }
  });
}

}  // namespace allium::control
