// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/listener.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "control/service/omq/internal/frames.hpp"
#include "control/service/tcp_listen.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using boost::asio::ip::tcp;

constexpr ZmqBounds kQuestionBounds{.frames = 16, .bytes = 4096};

// Without a bound, as a pipe that was full and whose routing id is taken over aborts the process (README.md, "Full pipes"). What it holds is
// bounded in bytes (Output::has_pipe_room).
constexpr int kPipeOutMessages = 0;
constexpr int kBacklog = 512;
constexpr int kKeepaliveIdleS = 60;

std::optional<tcp::endpoint> end_of(int descriptor, int (*name)(int, sockaddr*, socklen_t*)) {
  tcp::endpoint end;
  auto length = static_cast<socklen_t>(end.capacity());
  const bool is_tcp = name(descriptor, end.data(), &length) == 0 &&
                      (end.data()->sa_family == AF_INET || end.data()->sa_family == AF_INET6);
  return is_tcp ? std::optional(end) : std::nullopt;
}

void set_up_router(ZmqSocket& router, const Secret<32>& secret) {
  router.set(ZMQ_IPV6, 1);
  router.set(ZMQ_CURVE_SERVER, 1);
  router.set(ZMQ_CURVE_SECRETKEY, secret.bytes());
  router.set(ZMQ_ZAP_DOMAIN,
             Bytes(reinterpret_cast<const std::uint8_t*>(kZapDomain.data()), kZapDomain.size()));
  router.set(ZMQ_ROUTER_HANDOVER, 1);
  router.set(ZMQ_ROUTER_MANDATORY, 1);
  router.set(ZMQ_SNDHWM, kPipeOutMessages);
  router.set(ZMQ_RCVHWM, kPipeInMessages);
  router.set(ZMQ_HANDSHAKE_IVL, kHandshakeMs);
  router.set(ZMQ_TCP_KEEPALIVE, 1);
  router.set(ZMQ_TCP_KEEPALIVE_IDLE, kKeepaliveIdleS);
  router.set_max_message_bytes(kFrameBytesMax);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(
    boost::asio::io_context& io, const ZmqContext& context, const Secret<32>& secret,
    const std::vector<boost::asio::ip::tcp::endpoint>& endpoints, ConnectionTable& table,
    Admit admit, GivesWay gives_way, std::function<void()> drain) {
  std::unique_ptr<Listener> listener(new Listener(io, context, secret, table, std::move(admit),
                                                  std::move(gives_way), std::move(drain)));
  if (!listener->spare_.is_open()) {
    return fail(Errc::io, "cannot listen for OMQ: no descriptors");
  }
  auto zap = ZmqSocket::make(io, context, ZMQ_REP);
  if (!zap) {
    return tl::unexpected<Error>(zap.error());
  }
  listener->zap_ = std::move(*zap);
  listener->zap_->bind_inside(kZapName);
  listener->zap_->watch([self = listener.get()] { self->drain_events(); });
  auto listening = listener->listen(endpoints);
  if (listening) {
    listening = listener->renew();
  }
  if (!listening) {
    return tl::unexpected<Error>(listening.error());
  }
  return listener;
}

Result<void> Listener::listen(const std::vector<tcp::endpoint>& endpoints) {
  for (const tcp::endpoint& endpoint : endpoints) {
    tcp::acceptor acceptor(io_);
    boost::system::error_code error = listen_on(acceptor, endpoint, kBacklog);
    const tcp::endpoint bound = error ? endpoint : acceptor.local_endpoint(error);
    if (error) {
      return fail(Errc::io, "cannot listen for OMQ on " + endpoint.address().to_string() +
                                " port " + std::to_string(endpoint.port()) + ": " +
                                error.message());
    }
    acceptors_.push_back(std::move(acceptor));
    endpoints_.push_back(bound);
  }
  return {};
}

Result<void> Listener::renew() {
  auto router = ZmqSocket::make(io_, context_, ZMQ_ROUTER);
  if (!router) {
    return tl::unexpected<Error>(router.error());
  }
  set_up_router(**router, secret_);
  auto monitor =
      ZmqMonitor::make(io_, context_, *router, "listener-" + std::to_string(++renewals_));
  if (!monitor) {
    return tl::unexpected<Error>(monitor.error());
  }
  for (std::size_t i = 0; i < acceptors_.size(); ++i) {
    const Result<void> bound = (*router)->bind(endpoints_[i], acceptors_[i].native_handle());
    if (!bound) {
      return bound;
    }
  }
  close();
  table_.descriptors_closed();
  router_ = std::move(*router);
  monitor_ = std::move(*monitor);
  monitor_->watch([this] { drain_events(); });
  router_->watch(drain_);
  return {};
}

void Listener::close() {
  monitor_.reset();
  if (router_) {
    router_->close();
  }
}

Listener::~Listener() {
  close();
}

void Listener::drain_events() {
  while (const std::optional<ZmqReceived> question = zap_->receive(kQuestionBounds)) {
    drain_monitor();  // how many there are already
    // If the asker has gone, so has the question.
    static_cast<void>(zap_->send(zap_reply(question->frames, admit_)));
  }
  drain_monitor();
}

bool Listener::is_connection(int descriptor, const tcp::endpoint& peer) const {
  const std::optional<tcp::endpoint> own = end_of(descriptor, ::getsockname);
  return end_of(descriptor, ::getpeername) == peer && own &&
         std::any_of(endpoints_.begin(), endpoints_.end(), [&own](const tcp::endpoint& endpoint) {
           return endpoint.port() == own->port();
         });
}

void Listener::cut(const Output& output) const {
  // libzmq's thread may have closed it a moment ago, and its number may be another's now, at any time: so what is shut down is a second
  // descriptor, which stays what it was when it was looked at. The first look is for other files, such as the store's lock, which
  // closing a second descriptor of would unlock.
  if (!is_connection(output.descriptor, output.peer)) {
    return;
  }
  if (::dup3(output.descriptor, spare_.get(), O_CLOEXEC) < 0) {
    return;
  }
  if (is_connection(spare_.get(), output.peer)) {
    ::shutdown(spare_.get(), SHUT_RDWR);
  }
  spare_.clear();
}

void Listener::note(int descriptor) {
  // Gone already, or another's by now: its end is told next.
  const tcp::endpoint peer = end_of(descriptor, ::getpeername).value_or(tcp::endpoint());
  if (const std::shared_ptr<Output> first = table_.descriptor_opened(descriptor, peer)) {
    gives_way_(*first);
  }
}

void Listener::drain_monitor() {
  while (const std::optional<ZmqConnectionEvent> event = monitor_->next()) {
    if (event->kind == ZmqConnectionEvent::Kind::came) {
      note(event->descriptor);
    } else {
      table_.descriptor_closed(event->descriptor);
    }
  }
}

}  // namespace allium::control
