// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_endpoint.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/dialer.hpp"
#include "control/service/omq/internal/frames.hpp"
#include "control/service/omq/internal/incoming.hpp"
#include "control/service/omq/internal/input_watch.hpp"
#include "control/service/omq/internal/listener.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/requester.hpp"
#include "control/service/omq/internal/responder.hpp"
#include "control/service/omq/internal/sender.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using boost::asio::ip::tcp;

using Link = ConnectionTable::Link;

// Of one socket before others have their turn: messages, and the time that they take.
constexpr std::size_t kBurstMax = 64;
constexpr std::chrono::milliseconds kBurstTimeMax{5};
constexpr std::size_t kSocketsOfPeer = 3;  // its own, and both ends of its monitor
constexpr std::size_t kClosingSockets = 32;

}  // namespace

/// Puts the parts together, and takes the messages that have come to the one that each is for.
struct OmqEndpoint::State : std::enable_shared_from_this<OmqEndpoint::State> {
  State(boost::asio::io_context& io_, const Secret<32>& secret, OmqOptions options_,
        IsServiceNode is_service_node_)
      : io(io_),
        identity(secret),
        options(std::move(options_)),
        is_service_node(std::move(is_service_node_)),
        context(static_cast<int>(options.limits.peers * kSocketsOfPeer + kClosingSockets)),
        pool(options.limits,
             [this](const std::shared_ptr<Output>& output) {
               ++counters.cut_slow;
               links.end(output->descriptor);
             }),
        links(
            options.limits, pool, [this] { return sender->make_pipe(); },
            [this](const OmqLink& link) { connection_closed(link); }),
        sender(std::make_shared<Sender>(io, links, pool, is_service_node, counters)),
        dialer(
            std::make_shared<Dialer>(io, context, identity, options, links,
                                     [this](OmqConnection connection) { drain_peer(connection); })),
        requester(std::make_shared<Requester>(io, options.limits.requests, links, *dialer, *sender,
                                              counters)),
        responder(std::make_shared<Responder>(
            options.limits, is_service_node,
            [this](OmqConnection connection) { return links.find(connection); }, *sender,
            counters)),
        events{
            .admit = [this](const Incoming& connection,
                            const X25519Key& key) { return admits(connection, key); },
            .readable =
                [this](const std::shared_ptr<Incoming>& connection) { listener->add(connection); },
            .message =
                [this](const std::shared_ptr<Incoming>& connection, OmqParts frames,
                       bool is_oversized) { take(*connection, std::move(frames), is_oversized); },
            .ended =
                [this](const Incoming& connection, bool is_broken) {
                  counters.cut_broken += is_broken ? 1U : 0U;
                  links.end(connection.descriptor());
                }} {}

  ~State() {
    input_watch.reset();
    if (listener) {
      listener->stop();
    }
    links.close_all();
  }

  [[nodiscard]] Result<void> start();
  void came(tcp::socket socket, const tcp::endpoint& peer);
  [[nodiscard]] bool admits(const Incoming& connection, const X25519Key& key);
  [[nodiscard]] bool may_speak(const Incoming& connection);
  void take(const Incoming& connection, OmqParts frames, bool is_oversized);
  void connection_closed(const OmqLink& link);

  void drain_peer(OmqConnection number);
  void handle(const Link& link, OmqParts frames);

  boost::asio::io_context& io;
  OmqIdentity identity;
  OmqOptions options;
  IsServiceNode is_service_node;
  std::function<void(OmqConnection)> on_closed;
  OmqCounters counters;
  ZmqContext context;  // outlives every socket
  OutputPool pool;
  ConnectionTable links;
  std::shared_ptr<Sender> sender;
  std::shared_ptr<Dialer> dialer;
  std::shared_ptr<Requester> requester;
  std::shared_ptr<Responder> responder;
  const Incoming::Events events;
  std::shared_ptr<Listener> listener;
  std::shared_ptr<InputWatch> input_watch;
};

Result<void> OmqEndpoint::State::start() {
  listener = std::make_shared<Listener>(
      io,
      Listener::Events{.came = [this](tcp::socket socket,
                                      const tcp::endpoint& peer) { came(std::move(socket), peer); },
                       .had_turn =
                           [this](const Incoming& connection) {
                             links.recount(connection);
                             input_watch->incoming_grew();
                           },
                       .is_node =
                           [this](const Incoming& connection) {
                             return connection.is_admitted() && is_service_node(connection.key());
                           },
                       .rested = [this] { sender->flush_waiting(); }});
  for (const tcp::endpoint& endpoint : options.listen) {
    if (const Result<void> listening = listener->listen(endpoint); !listening) {
      return listening;
    }
  }
  dialer->close_idle();
  input_watch =
      std::make_shared<InputWatch>(io, options, links, is_service_node,
                                   InputWatch::Cuts{.incoming =
                                                        [this](const Incoming& connection) {
                                                          ++counters.cut_unfinished;
                                                          links.end(connection.descriptor());
                                                        },
                                                    .outgoing =
                                                        [this](OmqLink& link) {
                                                          ++counters.cut_unfinished;
                                                          links.close(link);
                                                        }});
  input_watch->look();
  return {};
}

void OmqEndpoint::State::came(tcp::socket socket, const tcp::endpoint& peer) {
  const auto connection = std::make_shared<Incoming>(std::move(socket), peer.address(), identity,
                                                     events, sender->make_pipe());
  const std::shared_ptr<Incoming> gives_way = links.came(connection);
  if (gives_way) {
    ++counters.cut_silent;
    links.end(gives_way->descriptor());
  }
  if (gives_way != connection) {
    connection->start();
  }
}

bool OmqEndpoint::State::admits(const Incoming& connection, const X25519Key& key) {
  // A node whatever others do at its address: a house, or several nodes on one machine.
  if (is_service_node(key) || links.arrivals().has_place(connection.block())) {
    return true;
  }
  ++counters.refused_clients;
  return false;
}

/// False: it has lost its connection.
bool OmqEndpoint::State::may_speak(const Incoming& connection) {
  Arrivals& arrivals = links.arrivals();
  const int descriptor = connection.descriptor();
  if (!arrivals.is_silent(descriptor)) {
    arrivals.spoke_again(descriptor);
    return true;
  }
  if (is_service_node(connection.key())) {
    if (const std::optional<int> first = arrivals.spoke_as_node(descriptor, connection.key())) {
      ++counters.cut_node;
      links.end(*first);
    }
    return true;
  }
  // Of those that were let in at one time not all need fit.
  const bool has_place = arrivals.has_place(connection.block());
  if (!has_place ||
      arrivals.clients_of_its_address(descriptor) >= options.limits.clients_per_address) {
    ++(has_place ? counters.refused_address_full : counters.refused_clients);
    links.end(descriptor);
    return false;
  }
  if (const std::optional<int> other = arrivals.gives_place_up()) {
    ++counters.cut_idle;
    links.end(*other);
  }
  arrivals.spoke_as_client(descriptor);
  return true;
}

void OmqEndpoint::State::take(const Incoming& connection, OmqParts frames, bool is_oversized) {
  if (!may_speak(connection)) {
    return;
  }
  const Link link = links.client(connection);
  if (is_oversized) {
    ++counters.oversized;
  } else if (link) {
    handle(link, std::move(frames));
  }
}

void OmqEndpoint::State::connection_closed(const OmqLink& link) {
  boost::asio::post(io, [weak = weak_from_this(), connection = link.number] {
    const std::shared_ptr<State> self = weak.lock();
    if (self && self->on_closed) {
      self->on_closed(connection);
    }
  });
  if (link.requested_count > 0) {
    requester->connection_closed(link.number);
  }
}

void OmqEndpoint::State::drain_peer(OmqConnection number) {
  const Link link = links.find(number);
  if (link) {
    link->note_connections();  // before what came by them
  }
  const auto until = OmqLink::Clock::now() + kBurstTimeMax;
  for (std::size_t count = 0; link && !link->is_closed && count < kBurstMax; ++count) {
    if (OmqLink::Clock::now() >= until) {
      break;
    }
    std::optional<ZmqReceived> message = link->socket->receive(kMessageBounds);
    if (!message) {
      break;
    }
    link->input.took(message->wire_bytes);
    if (message->is_oversized) {
      ++counters.oversized;
    } else {
      handle(link, std::move(message->frames));
    }
  }
  if (link && !link->is_closed) {
    sender->flush(link);
  }
  if (link && !link->is_closed && link->socket->has_input()) {
    link->socket->drain_soon();
  }
}

void OmqEndpoint::State::handle(const Link& link, OmqParts frames) {
  link->last_used = OmqLink::Clock::now();
  link->is_silent = false;
  const OmqMessage message = parse_omq(frames);
  switch (message.kind) {
    case OmqKind::hi:
      sender->deliver(link, {"HELLO"});
      break;
    case OmqKind::hello:
      break;
    case OmqKind::bye:
      if (link->incoming) {
        links.end(link->incoming->descriptor());  // another link on it would have bounds of its own
      } else {
        links.close(*link);
      }
      break;
    case OmqKind::reply:
      requester->take_reply(link, message, std::move(frames));
      break;
    case OmqKind::refusal:
      requester->take_refusal(link, message);
      break;
    case OmqKind::command:
      responder->serve(link, message, std::move(frames));
      break;
    case OmqKind::malformed:
      ++counters.malformed;
      break;
  }
}

Result<std::unique_ptr<OmqEndpoint>> OmqEndpoint::open(boost::asio::io_context& io,
                                                       const Secret<32>& x25519_secret,
                                                       OmqOptions options,
                                                       IsServiceNode is_service_node) {
  auto state =
      std::make_shared<State>(io, x25519_secret, std::move(options), std::move(is_service_node));
  const Result<void> started = state->start();
  if (!started) {
    return tl::unexpected<Error>(started.error());
  }
  return std::unique_ptr<OmqEndpoint>(new OmqEndpoint(std::move(state)));
}

OmqEndpoint::OmqEndpoint(std::shared_ptr<State> state) : state_(std::move(state)) {}

OmqEndpoint::~OmqEndpoint() = default;

const X25519Key& OmqEndpoint::own_key() const noexcept {
  return state_->identity.key;
}

const std::vector<boost::asio::ip::tcp::endpoint>& OmqEndpoint::listening() const noexcept {
  return state_->listener->endpoints();
}

void OmqEndpoint::add_command(std::string name, OmqAccess access, OmqForm form, OmqHandler handler,
                              OmqPriority priority) {
  ALLIUM_CHECK(name.size() <= kOmqNameBytesMax && name.find('.') != std::string::npos);
  state_->responder->add(std::move(name), access, form, std::move(handler), priority);
}

void OmqEndpoint::request(const OmqPeer& peer, std::string command, OmqParts parts,
                          std::chrono::milliseconds timeout, OmqAnswered answered,
                          OmqPriority priority) {
  state_->requester->ask(peer, std::move(command), std::move(parts), timeout, std::move(answered),
                         priority);
}

bool OmqEndpoint::send(OmqConnection connection, std::string command, OmqParts parts) {
  ALLIUM_CHECK(is_sendable(command, parts));
  const Link link = state_->links.find(connection);
  return link && state_->sender->deliver(link, frames_of({command}, std::move(parts)));
}

void OmqEndpoint::set_on_closed(std::function<void(OmqConnection)> on_closed) {
  state_->on_closed = std::move(on_closed);
}

const OmqCounters& OmqEndpoint::counters() const noexcept {
  return state_->counters;
}

}  // namespace allium::control
