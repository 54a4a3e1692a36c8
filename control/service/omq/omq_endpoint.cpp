// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_endpoint.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/dialer.hpp"
#include "control/service/omq/internal/frames.hpp"
#include "control/service/omq/internal/input_watch.hpp"
#include "control/service/omq/internal/listener.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/requester.hpp"
#include "control/service/omq/internal/responder.hpp"
#include "control/service/omq/internal/sender.hpp"
#include "control/service/omq/internal/zap.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using Link = ConnectionTable::Link;

// Of one socket before others have their turn: messages, and the time that they take.
constexpr std::size_t kBurstMax = 64;
constexpr std::chrono::milliseconds kBurstTimeMax{5};
constexpr std::size_t kSocketsOfPeer = 3;  // its own, and both ends of its monitor
constexpr std::size_t kOwnSockets =
    32;  // of two listeners while one takes over, and what libzmq is closing

// What libzmq has for us and is not taken grows as fast as it comes. So who is behind for a while takes as much time as all others took.
constexpr std::chrono::milliseconds kBehindAfter{100};
constexpr std::chrono::milliseconds kBehindTimeMax{250};

using Clock = std::chrono::steady_clock;

class Burst {
 public:
  Burst() = default;

  explicit Burst(Clock::duration time) : count_max_(SIZE_MAX), time_(time) {}

  [[nodiscard]] bool may_go_on(std::size_t count) const {
    return count < count_max_ && Clock::now() - began_at_ < time_;
  }

 private:
  std::size_t count_max_ = kBurstMax;
  Clock::duration time_ = kBurstTimeMax;
  Clock::time_point began_at_ = Clock::now();
};

/// Of a socket that has had input at the end of each burst for a while.
class Backlog {
 public:
  [[nodiscard]] Burst burst() const {
    const Clock::time_point now = Clock::now();
    if (!since_ || now - *since_ < kBehindAfter) {
      return {};
    }
    return Burst(std::clamp<Clock::duration>(now - ended_at_, kBurstTimeMax, kBehindTimeMax));
  }

  void burst_ended(bool has_input) {
    ended_at_ = Clock::now();
    since_ = !has_input ? std::nullopt : since_ ? since_ : std::optional(ended_at_);
  }

 private:
  std::optional<Clock::time_point> since_;
  Clock::time_point ended_at_ = Clock::now();
};

}  // namespace

/// Puts the parts together, and takes the messages that have come to the one that each is for.
struct OmqEndpoint::State : std::enable_shared_from_this<OmqEndpoint::State> {
  State(boost::asio::io_context& io_, const Secret<32>& secret, OmqOptions options_,
        IsServiceNode is_service_node_)
      : io(io_),
        identity(secret),
        options(std::move(options_)),
        is_service_node(std::move(is_service_node_)),
        context(static_cast<int>(options.limits.peers * kSocketsOfPeer + kOwnSockets)),
        pool(options.limits,
             [this](const std::shared_ptr<Output>& output) {
               ++counters.cut_slow;
               cut(*output);
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
            [this](OmqConnection connection) { return find_now(connection); }, *sender, counters)) {
  }

  ~State() {
    input_watch.reset();
    links.close_all();
    listener.reset();
  }

  [[nodiscard]] Result<void> start();
  [[nodiscard]] bool admits(const X25519Key& key, const std::string& address);
  [[nodiscard]] Link find_now(OmqConnection connection);
  [[nodiscard]] bool may_speak(int descriptor, const X25519Key& key);
  void cut(const Output& output);
  void end_stuck();
  void connection_closed(const OmqLink& link);

  void drain_clients();
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
  std::unique_ptr<Listener> listener;
  std::shared_ptr<InputWatch> input_watch;
  Backlog backlog;  ///< of the listener's socket
};

Result<void> OmqEndpoint::State::start() {
  const std::weak_ptr<State> weak = weak_from_this();
  auto opened = Listener::open(
      io, context, identity.secret, options.listen, links,
      [weak](const X25519Key& key, const std::string& address) {
        const std::shared_ptr<State> self = weak.lock();
        return self && self->admits(key, address);
      },
      [weak](const Output& output) {
        if (const std::shared_ptr<State> self = weak.lock()) {
          ++self->counters.cut_silent;
          self->cut(output);
        }
      },
      [weak] {
        if (const std::shared_ptr<State> self = weak.lock()) {
          self->drain_clients();
        }
      });
  if (!opened) {
    return tl::unexpected<Error>(opened.error());
  }
  listener = std::move(*opened);
  dialer->close_idle();
  input_watch = std::make_shared<InputWatch>(io, options, links, *listener,
                                             InputWatch::Cuts{.incoming =
                                                                  [this](const Output& output) {
                                                                    ++counters.cut_unfinished;
                                                                    cut(output);
                                                                  },
                                                              .outgoing =
                                                                  [this](OmqLink& link) {
                                                                    ++counters.cut_unfinished;
                                                                    links.close(link);
                                                                  },
                                                              .stuck = [this] { end_stuck(); }});
  input_watch->look();
  return {};
}

bool OmqEndpoint::State::admits(const X25519Key& key, const std::string& address) {
  // Whatever others do at its address: a house, or several nodes on one machine.
  if (is_service_node(key)) {
    return true;
  }
  boost::system::error_code ignored;
  const AddressBlock from = address_block(boost::asio::ip::make_address(address, ignored));
  if (input_watch && input_watch->is_shut(from)) {
    ++counters.refused_stuck;
    return false;
  }
  if (!links.arrivals().has_place(from)) {
    ++counters.refused_clients;
    return false;
  }
  return true;
}

bool OmqEndpoint::State::may_speak(int descriptor, const X25519Key& key) {
  Arrivals& arrivals = links.arrivals();
  if (!arrivals.is_silent(descriptor)) {
    arrivals.spoke_again(descriptor);
    return true;
  }
  if (is_service_node(key)) {
    if (const std::optional<int> first = arrivals.spoke_as_node(descriptor, key)) {
      ++counters.cut_node;
      cut(*links.output(*first));
    }
    return true;
  }
  // Of those that were let in at one time not all need fit.
  const bool has_place = arrivals.has_place(arrivals.block_of(descriptor));
  if (!has_place ||
      arrivals.clients_of_its_address(descriptor) >= options.limits.clients_per_address) {
    ++(has_place ? counters.refused_address_full : counters.refused_clients);
    cut(*links.output(descriptor));
    return false;
  }
  if (const std::optional<int> other = arrivals.gives_place_up()) {
    ++counters.cut_idle;
    cut(*links.output(*other));
  }
  arrivals.spoke_as_client(descriptor);
  return true;
}

Link OmqEndpoint::State::find_now(OmqConnection connection) {
  listener->drain_events();  // who has left meanwhile
  return links.find(connection);
}

void OmqEndpoint::State::cut(const Output& output) {
  listener->cut(output);
  links.descriptor_lost(output.descriptor);
}

void OmqEndpoint::State::end_stuck() {
  if (listener->renew()) {  // else at the next look
    ++counters.ended_stuck;
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

void OmqEndpoint::State::drain_clients() {
  listener->drain_events();
  const Burst burst = backlog.burst();
  for (std::size_t count = 0; burst.may_go_on(count);) {
    std::optional<ZmqReceived> message = listener->router()->receive(kMessageBounds);
    if (!message) {
      break;
    }
    links.took(*message);
    const std::optional<X25519Key> key = key_of_user_id(message->user_id);
    ALLIUM_CHECK(key.has_value());  // every connection passed ZAP, which we answer
    if (const std::shared_ptr<Output> overtaken = links.overtaken_by(*message)) {
      cut(*overtaken);
    }
    if (!may_speak(message->descriptor, *key)) {
      continue;
    }
    const Link link = links.client(*message, *key, listener->router());
    if (message->is_oversized) {
      ++counters.oversized;
    } else if (link) {
      handle(link, std::move(message->frames));
      ++count;
    }
  }
  sender->flush_waiting();
  const bool has_input = listener->router()->has_input();
  backlog.burst_ended(has_input);
  if (has_input) {
    listener->router()->drain_soon();
  }
}

void OmqEndpoint::State::drain_peer(OmqConnection number) {
  const Link link = links.find(number);
  if (link) {
    link->note_connections();  // before what came by them
  }
  const Burst burst;
  for (std::size_t count = 0; link && !link->is_closed && burst.may_go_on(count); ++count) {
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
      links.close(*link);
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
  const Link link = state_->find_now(connection);
  return link && state_->sender->deliver(link, frames_of({command}, std::move(parts)));
}

void OmqEndpoint::set_on_closed(std::function<void(OmqConnection)> on_closed) {
  state_->on_closed = std::move(on_closed);
}

const OmqCounters& OmqEndpoint::counters() const noexcept {
  return state_->counters;
}

}  // namespace allium::control
