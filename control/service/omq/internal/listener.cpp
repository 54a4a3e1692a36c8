// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/listener.hpp"

#include <netinet/tcp.h>

#include <chrono>
#include <string>

#include <boost/asio/detail/socket_option.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include "control/service/tcp_listen.hpp"

namespace allium::control {

namespace {

using boost::asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kAcceptsAtOnce = 16;

/// For all turns together, before others of the service thread have theirs.
constexpr std::chrono::milliseconds kTurnsTime{5};

/// How long to leave a queue of connections alone when accept() says that there are no descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};

// Who has gone without a word is noticed within two minutes, be there something on its way to him or not.
constexpr int kUnacknowledgedMs = 120'000;
constexpr int kKeepaliveIdleS = 60;
constexpr int kKeepaliveIntervalS = 15;
constexpr int kKeepaliveCount = 4;

template <int Name>
using TcpOption = boost::asio::detail::socket_option::integer<IPPROTO_TCP, Name>;

void set_up(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(boost::asio::socket_base::keep_alive(true), ignored);
  socket.set_option(TcpOption<TCP_USER_TIMEOUT>(kUnacknowledgedMs), ignored);
  socket.set_option(TcpOption<TCP_KEEPIDLE>(kKeepaliveIdleS), ignored);
  socket.set_option(TcpOption<TCP_KEEPINTVL>(kKeepaliveIntervalS), ignored);
  socket.set_option(TcpOption<TCP_KEEPCNT>(kKeepaliveCount), ignored);
}

}  // namespace

Result<void> Listener::listen(const tcp::endpoint& endpoint) {
  Door door{tcp::acceptor(io_), boost::asio::steady_timer(io_)};
  boost::system::error_code error =
      listen_on(door.acceptor, endpoint, tcp::acceptor::max_listen_connections);
  const tcp::endpoint bound = error ? endpoint : door.acceptor.local_endpoint(error);
  if (!error) {
    door.acceptor.non_blocking(true, error);
  }
  if (error) {
    return fail(Errc::io, "cannot listen for OMQ on " + endpoint.address().to_string() + " port " +
                              std::to_string(endpoint.port()) + ": " + error.message());
  }
  endpoints_.push_back(bound);
  accept_next(doors_.emplace_back(std::move(door)));
  return {};
}

void Listener::stop() {
  is_stopped_ = true;
  doors_.clear();
  nodes_ = {};
  others_ = {};
}

void Listener::accept_next(Door& door) {
  door.acceptor.async_accept(
      [weak = weak_from_this(), &door](boost::system::error_code error, tcp::socket socket) {
        const std::shared_ptr<Listener> self = weak.lock();
        if (!self || self->is_stopped_) {
          return;
        }
        // Others of the thread have their turn between two calls, so that more than one is let in.
        for (std::size_t count = 1; !error; ++count) {
          self->let_in(std::move(socket));
          if (count == kAcceptsAtOnce) {
            break;
          }
          socket = tcp::socket(self->io_);
          door.acceptor.accept(socket, error);
        }
        if (!error || error == boost::asio::error::would_block ||
            error == boost::asio::error::connection_aborted) {
          self->accept_next(door);
        } else {
          self->accept_later(door);
        }
      });
}

void Listener::let_in(tcp::socket socket) {
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (!error) {  // else it has gone already
    set_up(socket);
    events_.came(std::move(socket), peer);
  }
}

void Listener::accept_later(Door& door) {
  door.pause.expires_after(kAcceptPause);
  door.pause.async_wait([weak = weak_from_this(), &door](const boost::system::error_code& error) {
    const std::shared_ptr<Listener> self = weak.lock();
    if (!error && self && !self->is_stopped_) {
      self->accept_next(door);
    }
  });
}

void Listener::add(const std::shared_ptr<Incoming>& connection) {
  if (!is_stopped_) {
    (events_.is_node(*connection) ? nodes_ : others_).add(connection->block(), connection);
    give_turns_soon();
  }
}

void Listener::give_turns_soon() {
  if (std::exchange(is_posted_, true)) {
    return;
  }
  boost::asio::post(io_, [weak = weak_from_this()] {
    if (const std::shared_ptr<Listener> self = weak.lock()) {
      self->is_posted_ = false;
      self->give_turns();
    }
  });
}

Listener::Waiting& Listener::next() {
  is_nodes_turn_ = !is_nodes_turn_;
  const bool is_nodes = others_.is_empty() || (is_nodes_turn_ && !nodes_.is_empty());
  return is_nodes ? nodes_ : others_;
}

void Listener::give_turns() {
  const Clock::time_point until = Clock::now() + kTurnsTime;
  while (!(nodes_.is_empty() && others_.is_empty()) && Clock::now() < until) {
    const std::shared_ptr<Incoming> connection = next().take();
    const bool may_have_more = connection->take_turn(scratch_);
    if (is_stopped_) {
      return;
    }
    events_.had_turn(*connection);
    if (may_have_more) {
      add(connection);
    }
  }
  events_.rested();
  if (!(nodes_.is_empty() && others_.is_empty())) {
    give_turns_soon();
  }
}

}  // namespace allium::control
