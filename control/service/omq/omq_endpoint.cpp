// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/omq_endpoint.hpp"

#include <zmq.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sodium.h>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/listener.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/request_table.hpp"
#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_message.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using Link = ConnectionTable::Link;
using Clock = OmqLink::Clock;

constexpr ZmqBounds kMessageBounds{.frames = kOmqFramesMax, .bytes = kOmqMessageBytesMax};
constexpr std::size_t kBurstMax = 64;  // messages of one socket before others have their turn
constexpr std::size_t kOwnSockets = 8;
constexpr std::string_view kReplyName = "REPLY";
constexpr int kPipeMessages = 16;
constexpr int kHandshakeMs = 10'000;
constexpr int kConnectMs = 5'000;
constexpr int kReconnectMs = 250;
constexpr int kReconnectMsMax = 5'000;
constexpr std::int64_t kFrameBytesMax = kOmqMessageBytesMax + 1024;

// A send may swallow the sign that a pipe has room again; so those that wait also look by
// themselves.
constexpr std::chrono::milliseconds kRetryInterval{10};

X25519Key public_key_of(const Secret<32>& secret) {
  X25519Key key{};
  ALLIUM_CHECK(crypto_scalarmult_base(key.data(), secret.data()) == 0);
  return key;
}

/// How this node names itself to `peer`, and nobody else can: who knows the name may take the connection's place there (README.md).
/// The same each time, so that a new connection takes the place of one that is half open. Never begins with a zero, which is
/// ZeroMQ's.
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

std::size_t bytes_of(const OmqParts& parts) noexcept {
  std::size_t bytes = 0;
  for (const std::string& part : parts) {
    bytes += part.size();
  }
  return bytes;
}

bool is_sendable(const std::string& command, const OmqParts& parts) noexcept {
  return !command.empty() && command.size() <= kOmqNameBytesMax && parts.size() <= kOmqPartsMax &&
         command.size() + kOmqTagBytesMax + bytes_of(parts) <= kOmqMessageBytesMax;
}

OmqParts frames_of(std::initializer_list<std::string_view> first, OmqParts parts) {
  OmqParts frames(first.begin(), first.end());
  std::move(parts.begin(), parts.end(), std::back_inserter(frames));
  return frames;
}

struct Registered {
  OmqAccess access;
  OmqForm form;
  OmqHandler handler;
};

}  // namespace

struct OmqEndpoint::State : std::enable_shared_from_this<OmqEndpoint::State> {
  State(boost::asio::io_context& io_, const Secret<32>& secret_, OmqOptions options_,
        IsServiceNode is_service_node_)
      : io(io_),
        own_key(public_key_of(secret_)),
        options(std::move(options_)),
        is_service_node(std::move(is_service_node_)),
        context(static_cast<int>(options.limits.peers + kOwnSockets)),
        pool(options.limits, [this](const std::shared_ptr<Output>& output) { cut(output); }),
        links(
            pool, [this] { return make_pipe(); },
            [this](OmqConnection connection) { tell_closed(connection); }),
        requests(io_),
        retry_timer(io_),
        idle_timer(io_) {
    secret.copy_from(secret_);
  }

  ~State() {
    links.close_all();
    listener.reset();
  }

  [[nodiscard]] Result<void> start();
  [[nodiscard]] bool admits(const X25519Key& key);

  void drain_clients();
  void drain_peer(OmqConnection number);

  void handle(const Link& link, OmqParts frames);
  void serve(const Link& link, const OmqMessage& message, OmqParts frames);
  void call(const Link& link, const Registered& command, OmqParts frames);
  void refuse(const Link& link, const Registered& command, std::span<const std::string> frames);
  void take_reply(const Link& link, const OmqMessage& message, OmqParts frames);
  void take_refusal(const Link& link, const OmqMessage& message);

  bool deliver(const Link& link, OmqParts frames);
  [[nodiscard]] std::shared_ptr<PipeTally> make_pipe();
  void tell_closed(OmqConnection connection);
  void cut(const std::shared_ptr<Output>& output);
  void flush(const Link& link);
  void flush_waiting();
  void retry_later();

  void reply(OmqConnection connection, const std::string& tag, OmqParts parts);
  void release(OmqConnection connection, std::size_t bytes);
  [[nodiscard]] bool may_serve(const Link& link, std::size_t bytes) const;

  [[nodiscard]] Result<Link> link_to(const OmqPeer& peer);
  [[nodiscard]] Result<Link> connect(const OmqPeer& peer);
  void ask(const OmqPeer& peer, std::string command, OmqParts parts,
           std::chrono::milliseconds timeout, OmqAnswered answered);
  void answer_later(OmqAnswered answered, Error error);
  void expire(const std::string& tag, OmqConnection connection);
  void close(const Link& link);
  void close_idle();

  boost::asio::io_context& io;
  Secret<32> secret;
  X25519Key own_key;
  OmqOptions options;
  IsServiceNode is_service_node;
  std::function<void(OmqConnection)> on_closed;
  OmqCounters counters;
  std::map<std::string, Registered, std::less<>> commands;
  ZmqContext context;  // outlives every socket
  OutputPool pool;
  ConnectionTable links;
  RequestTable requests;
  std::unique_ptr<Listener> listener;
  boost::asio::steady_timer retry_timer;
  boost::asio::steady_timer idle_timer;
  bool is_retry_armed = false;

  /// libzmq's thread has posted a look at all outboxes.
  std::shared_ptr<std::atomic<bool>> is_flush_posted = std::make_shared<std::atomic<bool>>(false);
};

struct OmqReply::Target {
  Target(std::weak_ptr<OmqEndpoint::State> state_, OmqConnection connection_, std::string tag_,
         std::size_t bytes_)
      : state(std::move(state_)), connection(connection_), tag(std::move(tag_)), bytes(bytes_) {}

  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  ~Target() {
    const std::shared_ptr<OmqEndpoint::State> alive = state.lock();
    if (alive && !tag.empty()) {
      alive->release(connection, bytes);
    }
  }

  std::weak_ptr<OmqEndpoint::State> state;
  OmqConnection connection;
  std::string tag;    // empty: answered, or a push
  std::size_t bytes;  // of the request
};

void OmqReply::operator()(OmqParts parts) const {
  const std::string tag = std::exchange(target_->tag, {});
  const auto state = target_->state.lock();
  if (state && !tag.empty()) {
    state->release(target_->connection, target_->bytes);
    state->reply(target_->connection, tag, std::move(parts));
  }
}

Result<void> OmqEndpoint::State::start() {
  const std::weak_ptr<State> weak = weak_from_this();
  auto opened = Listener::open(
      io, context, secret, options.listen, links,
      [weak](const X25519Key& key) {
        const std::shared_ptr<State> self = weak.lock();
        return self && self->admits(key);
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
  close_idle();
  return {};
}

bool OmqEndpoint::State::admits(const X25519Key& key) {
  if (links.open_count() > options.limits.clients && !is_service_node(key)) {
    ++counters.refused_clients;
    return false;
  }
  return true;
}

void OmqEndpoint::State::drain_clients() {
  listener->drain_events();
  std::size_t count = 0;
  for (; count < kBurstMax; ++count) {
    std::optional<ZmqReceived> message = listener->router()->receive(kMessageBounds);
    if (!message) {
      break;
    }
    const std::optional<X25519Key> key = key_of_user_id(message->user_id);
    ALLIUM_CHECK(key.has_value());  // every connection passed ZAP, which we answer
    const Link link = links.client(*message, *key, listener->router());
    if (message->is_oversized) {
      ++counters.oversized;
    } else if (link) {
      handle(link, std::move(message->frames));
    }
  }
  flush_waiting();
  if (count == kBurstMax || listener->router()->has_input()) {
    listener->router()->drain_soon();
  }
}

void OmqEndpoint::State::drain_peer(OmqConnection number) {
  const Link link = links.find(number);
  for (std::size_t count = 0; link && !link->is_closed && count < kBurstMax; ++count) {
    std::optional<ZmqReceived> message = link->socket->receive(kMessageBounds);
    if (!message) {
      break;
    }
    if (message->is_oversized) {
      ++counters.oversized;
    } else {
      handle(link, std::move(message->frames));
    }
  }
  if (link && !link->is_closed) {
    flush(link);
  }
  if (link && !link->is_closed && link->socket->has_input()) {
    link->socket->drain_soon();
  }
}

void OmqEndpoint::State::handle(const Link& link, OmqParts frames) {
  link->last_used = Clock::now();
  link->is_silent = false;
  const OmqMessage message = parse_omq(frames);
  switch (message.kind) {
    case OmqKind::hi:
      deliver(link, {"HELLO"});
      break;
    case OmqKind::hello:
      break;
    case OmqKind::bye:
      close(link);
      break;
    case OmqKind::reply:
      take_reply(link, message, std::move(frames));
      break;
    case OmqKind::refusal:
      take_refusal(link, message);
      break;
    case OmqKind::command:
      serve(link, message, std::move(frames));
      break;
    case OmqKind::malformed:
      ++counters.malformed;
      break;
  }
}

void OmqEndpoint::State::serve(const Link& link, const OmqMessage& message, OmqParts frames) {
  ++counters.received;
  const auto command = commands.find(message.name);
  if (command == commands.end()) {
    ++counters.refused_unknown;
    deliver(link, {"UNKNOWNCOMMAND", frames[0]});
    return;
  }
  if (command->second.access == OmqAccess::service_node && !is_service_node(link->key)) {
    ++counters.refused_forbidden;
    refuse(link, command->second, frames);
    return;
  }
  if (command->second.form == OmqForm::request && omq_request_tag(frames).empty()) {
    ++counters.refused_no_tag;
    deliver(link, {"NO_REPLY_TAG", frames[0]});
    return;
  }
  call(link, command->second, std::move(frames));
}

void OmqEndpoint::State::refuse(const Link& link, const Registered& command,
                                std::span<const std::string> frames) {
  const std::string_view tag = omq_request_tag(frames);
  if (command.form == OmqForm::request && !tag.empty()) {
    deliver(link, {"FORBIDDEN_SN", "REPLY", std::string(tag)});
  } else {
    deliver(link, {"FORBIDDEN_SN", frames[0]});
  }
}

void OmqEndpoint::State::call(const Link& link, const Registered& command, OmqParts frames) {
  std::string tag;
  const std::size_t bytes = bytes_of(frames);
  if (command.form == OmqForm::request) {
    if (!may_serve(link, bytes)) {
      ++counters.refused_busy;
      deliver(link, {std::string(kReplyName), frames[1], "503", "too many requests at once"});
      return;
    }
    ++link->served_count;
    link->served_bytes += bytes;
    tag = frames[1];
  } else if (frames.size() > kOmqPartsMax + 1) {
    ++counters.malformed;
    return;
  }
  const auto first = frames.begin() + (command.form == OmqForm::request ? 2 : 1);
  const OmqReply reply(
      std::make_shared<OmqReply::Target>(weak_from_this(), link->number, std::move(tag), bytes));
  command.handler({.name = frames[0],
                   .parts = {std::make_move_iterator(first), std::make_move_iterator(frames.end())},
                   .peer = link->key,
                   .is_service_node = is_service_node(link->key),
                   .connection = link->number,
                   .address = link->address},
                  reply);
}

void OmqEndpoint::State::take_reply(const Link& link, const OmqMessage& message, OmqParts frames) {
  // By connection as well: a tag that leaked helps nobody but the peer that was asked.
  std::optional<OmqRequest> request = requests.take(message.tag, link->number);
  if (!request) {
    ++counters.unknown_tags;
    return;
  }
  --link->requested_count;
  frames.erase(frames.begin(), frames.begin() + static_cast<std::ptrdiff_t>(message.parts_begin));
  request->answered(std::move(frames));
}

void OmqEndpoint::State::take_refusal(const Link& link, const OmqMessage& message) {
  std::optional<OmqRequest> request =
      message.tag.empty() ? requests.take_oldest(link->number, message.refused_command)
                          : requests.take(message.tag, link->number);
  if (!request) {
    ++counters.unknown_tags;
    return;
  }
  --link->requested_count;
  request->answered(fail(Errc::refused, "the peer answers " + std::string(message.name)));
}

bool OmqEndpoint::State::deliver(const Link& link, OmqParts frames) {
  link->last_used = Clock::now();
  const bool is_node = link->is_outgoing || is_service_node(link->key);
  if (!pool.admit(link->output, waiting_bytes(frames), is_node)) {
    ++counters.unsent_full;
    return false;
  }
  link->output->outbox.push(std::move(frames));
  flush(link);
  if (link->is_closed) {
    return false;
  }
  link->socket->drain_soon();
  pool.count(link->output);
  if (!link->output->outbox.is_empty()) {
    links.waiting.insert(link->number);
    retry_later();
  }
  return true;
}

std::shared_ptr<PipeTally> OmqEndpoint::State::make_pipe() {
  return std::make_shared<PipeTally>(
      [weak = weak_from_this(), executor = io.get_executor(), is_posted = is_flush_posted] {
        if (is_posted->exchange(true)) {
          return;
        }
        boost::asio::post(executor, [weak, is_posted] {
          *is_posted = false;
          if (const std::shared_ptr<State> self = weak.lock()) {
            self->flush_waiting();
          }
        });
      });
}

void OmqEndpoint::State::tell_closed(OmqConnection connection) {
  boost::asio::post(io, [weak = weak_from_this(), connection] {
    const std::shared_ptr<State> self = weak.lock();
    if (self && self->on_closed) {
      self->on_closed(connection);
    }
  });
}

void OmqEndpoint::State::cut(const std::shared_ptr<Output>& output) {
  ++counters.cut_slow;
  listener->cut(*output);
  links.descriptor_closed(output->descriptor);
}

void OmqEndpoint::State::flush(const Link& link) {
  const std::string* routing_id = link->is_outgoing ? nullptr : &link->routing_id;
  Output& output = *link->output;
  // Before the pipe is looked at: a frame that leaves it after that wakes us.
  output.pipe->set_waited_for(true);
  while (!output.outbox.is_empty()) {
    if (!output.has_pipe_room(output.outbox.front_bytes())) {
      return;
    }
    const ZmqSent sent = link->socket->send(output.outbox.front(), routing_id, output.pipe);
    if (sent == ZmqSent::full) {
      return;
    }
    if (sent == ZmqSent::gone) {
      ++counters.unsent_gone;
      close(link);
      return;
    }
    output.outbox.pop();
    link->socket->drain_soon();
  }
  output.pipe->set_waited_for(false);
  links.waiting.erase(link->number);
}

void OmqEndpoint::State::flush_waiting() {
  const std::vector<OmqConnection> numbers(links.waiting.begin(), links.waiting.end());
  for (const OmqConnection number : numbers) {
    if (const Link link = links.find(number)) {
      flush(link);
    }
  }
}

void OmqEndpoint::State::retry_later() {
  if (std::exchange(is_retry_armed, true)) {
    return;
  }
  retry_timer.expires_after(kRetryInterval);
  retry_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<State> self = weak.lock();
    if (error || !self) {
      return;
    }
    self->is_retry_armed = false;
    self->flush_waiting();
    if (!self->links.waiting.empty()) {
      self->retry_later();
    }
  });
}

void OmqEndpoint::State::reply(OmqConnection connection, const std::string& tag, OmqParts parts) {
  ALLIUM_CHECK(parts.size() <= kOmqPartsMax);
  listener->drain_events();  // who has left meanwhile
  const Link link = links.find(connection);
  if (!link) {
    ++counters.unsent_gone;
    return;
  }
  if (kReplyName.size() + tag.size() + bytes_of(parts) > kOmqMessageBytesMax) {
    ++counters.answers_oversized;
    parts = {"413", "the answer is larger than a message may be"};
  }
  if (deliver(link, frames_of({kReplyName, tag}, std::move(parts)))) {
    ++counters.answered;
  }
}

void OmqEndpoint::State::release(OmqConnection connection, std::size_t bytes) {
  if (const Link link = links.find(connection)) {
    --link->served_count;
    link->served_bytes -= bytes;
  }
}

bool OmqEndpoint::State::may_serve(const Link& link, std::size_t bytes) const {
  const OmqLimits& limits = options.limits;
  if (!link->is_outgoing && !is_service_node(link->key)) {
    return link->served_count < limits.served;
  }
  return link->served_count < limits.node_served &&
         (link->served_count == 0 || link->served_bytes + bytes <= limits.node_served_bytes);
}

Result<Link> OmqEndpoint::State::link_to(const OmqPeer& peer) {
  Link link = links.find_outgoing(peer.x25519);
  const bool has_moved = link && link->endpoint != peer.endpoint;
  if (has_moved && link->requested_count == 0 && link->served_count == 0) {
    close(link);
    link = nullptr;
  }
  if (link) {
    return link;
  }
  if (links.outgoing_count() >= options.limits.peers) {
    const Link idlest = links.idlest_outgoing();
    if (!idlest) {
      return fail(Errc::full, "every connection to other nodes is in use");
    }
    close(idlest);
  }
  return connect(peer);
}

Result<Link> OmqEndpoint::State::connect(const OmqPeer& peer) {
  auto made = ZmqSocket::make(io, context, ZMQ_DEALER);
  if (!made) {
    return tl::unexpected<Error>(made.error());
  }
  ZmqSocket& socket = **made;
  socket.set(ZMQ_ROUTING_ID, routing_id_for(peer.x25519, secret));
  socket.set(ZMQ_CURVE_SERVERKEY, peer.x25519);
  socket.set(ZMQ_CURVE_PUBLICKEY, own_key);
  socket.set(ZMQ_CURVE_SECRETKEY, secret.bytes());
  socket.set(ZMQ_IPV6, 1);
  socket.set(ZMQ_SNDHWM, kPipeMessages);
  socket.set(ZMQ_RCVHWM, kPipeMessages);
  socket.set(ZMQ_HANDSHAKE_IVL, kHandshakeMs);
  socket.set(ZMQ_CONNECT_TIMEOUT, kConnectMs);
  socket.set(ZMQ_RECONNECT_IVL, kReconnectMs);
  socket.set(ZMQ_RECONNECT_IVL_MAX, kReconnectMsMax);
  socket.set_max_message_bytes(kFrameBytesMax);
  socket.connect(peer.endpoint);
  const Link link = links.add_outgoing(peer, *made);
  link->last_used = Clock::now();
  socket.watch([weak = weak_from_this(), number = link->number] {
    if (const std::shared_ptr<State> self = weak.lock()) {
      self->drain_peer(number);
    }
  });
  return link;
}

void OmqEndpoint::State::ask(const OmqPeer& peer, std::string command, OmqParts parts,
                             std::chrono::milliseconds timeout, OmqAnswered answered) {
  if (!is_sendable(command, parts)) {
    answer_later(std::move(answered), {Errc::out_of_range, "too much for one OMQ request"});
    return;
  }
  if (requests.count() >= options.limits.requests) {
    answer_later(std::move(answered), {Errc::full, "too many OMQ requests without an answer"});
    return;
  }
  const Result<Link> link = link_to(peer);
  if (!link) {
    answer_later(std::move(answered), link.error());
    return;
  }
  const OmqConnection number = (*link)->number;
  const std::string tag =
      requests.add(number, command, timeout, std::move(answered),
                   [weak = weak_from_this(), number](const std::string& expired) {
                     if (const std::shared_ptr<State> self = weak.lock()) {
                       self->expire(expired, number);
                     }
                   });
  (*link)->is_silent = (*link)->is_silent || (*link)->requested_count == 0;
  ++(*link)->requested_count;
  ++counters.requested;
  if (!deliver(*link, frames_of({command, tag}, std::move(parts)))) {
    --(*link)->requested_count;
    if (std::optional<OmqRequest> request = requests.take(tag, number)) {
      answer_later(std::move(request->answered), {Errc::full, "the peer does not read"});
    }
  }
}

void OmqEndpoint::State::answer_later(OmqAnswered answered, Error error) {
  boost::asio::post(io, [answered = std::move(answered), error = std::move(error)]() mutable {
    answered(tl::unexpected<Error>(std::move(error)));
  });
}

void OmqEndpoint::State::expire(const std::string& tag, OmqConnection connection) {
  std::optional<OmqRequest> request = requests.take(tag, connection);
  if (!request) {
    return;
  }
  ++counters.timeouts;
  if (const Link link = links.find(connection)) {
    --link->requested_count;
    // Nothing has come since the request went: perhaps the connection is dead, so the next gets a
    // new one.
    if (link->requested_count == 0 && link->is_silent) {
      close(link);
    }
  }
  request->answered(fail(Errc::timeout, "no answer in time"));
}

void OmqEndpoint::State::close(const Link& link) {
  links.close(*link);
  for (OmqRequest& request : requests.take_all(link->number)) {
    answer_later(std::move(request.answered), {Errc::unavailable, "the connection was closed"});
  }
}

void OmqEndpoint::State::close_idle() {
  const Clock::time_point idle_since = Clock::now() - options.peer_idle;
  while (const Link link = links.idlest_outgoing()) {
    if (link->last_used > idle_since) {
      break;
    }
    close(link);
  }
  const auto interval = std::max<Clock::duration>(options.peer_idle / 4, kRetryInterval);
  idle_timer.expires_after(interval);
  idle_timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<State> self = weak.lock();
    if (!error && self) {
      self->close_idle();
    }
  });
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
  return state_->own_key;
}

const std::vector<boost::asio::ip::tcp::endpoint>& OmqEndpoint::listening() const noexcept {
  return state_->listener->endpoints();
}

void OmqEndpoint::add_command(std::string name, OmqAccess access, OmqForm form,
                              OmqHandler handler) {
  ALLIUM_CHECK(name.size() <= kOmqNameBytesMax && name.find('.') != std::string::npos);
  const bool is_new =
      state_->commands.emplace(std::move(name), Registered{access, form, std::move(handler)})
          .second;
  ALLIUM_CHECK(is_new);
}

void OmqEndpoint::request(const OmqPeer& peer, std::string command, OmqParts parts,
                          std::chrono::milliseconds timeout, OmqAnswered answered) {
  state_->ask(peer, std::move(command), std::move(parts), timeout, std::move(answered));
}

bool OmqEndpoint::send(OmqConnection connection, std::string command, OmqParts parts) {
  ALLIUM_CHECK(is_sendable(command, parts));
  state_->listener->drain_events();
  const Link link = state_->links.find(connection);
  return link && state_->deliver(link, frames_of({command}, std::move(parts)));
}

void OmqEndpoint::set_on_closed(std::function<void(OmqConnection)> on_closed) {
  state_->on_closed = std::move(on_closed);
}

const OmqCounters& OmqEndpoint::counters() const noexcept {
  return state_->counters;
}

}  // namespace allium::control
