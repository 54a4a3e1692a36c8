// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/https_server.hpp"

#include <utility>

#include <boost/asio/error.hpp>

#include "control/service/https/internal/server_core.hpp"
#include "control/service/tcp_listen.hpp"

namespace allium::control {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using CorePtr = std::shared_ptr<ServerCore>;

/// How long to leave a queue of connections alone when accept() says that there are no descriptors
/// or no memory: trying again at once would use the whole thread to fail.
constexpr std::chrono::milliseconds kAcceptPause{100};

void renew_keys_when_due(ServerCore& core, ServerCore::Clock::time_point now) {
  if (core.context && now >= core.ticket_keys_until) {
    renew_ticket_keys(*core.context, core.random);
    core.ticket_keys_until = now + core.options.ticket_key_lifetime;
  }
}

void sweep(const CorePtr& core) {
  const auto now = ServerCore::Clock::now();
  renew_keys_when_due(*core, now);
  for (auto next = core->sessions.begin(); next != core->sessions.end();) {
    const auto session = *next++;  // expire() takes it out
    session->expire(now);
  }
}

void sweep_regularly(const CorePtr& core) {
  core->sweep_timer.expires_after(core->options.sweep_interval);
  core->sweep_timer.async_wait([core](boost::system::error_code error) {
    if (error || core->stopped) {
      return;
    }
    sweep(core);
    sweep_regularly(core);
  });
}

/// False: the connection is to be closed.
bool make_room(ServerCore& core, AddressBlock block) {
  const auto same_address = core.addresses.find(block);
  if (same_address != core.addresses.end() &&
      same_address->second.connections >= core.options.connections_per_address_max) {
    ++core.counters.refused_address_full;
    return false;
  }
  if (core.sessions.size() < core.options.connections_max) {
    return true;
  }
  if (!core.idle_sessions.empty()) {
    ++core.counters.evicted_idle;
    core.idle_sessions.front()->close();
    return true;
  }
  // Whoever means it is through a handshake and a request long before 10,000 others have come.
  if (!core.unfinished_sessions.empty()) {
    ++core.counters.evicted_unfinished;
    core.unfinished_sessions.front()->close();
    return true;
  }
  ++core.counters.refused_all_full;
  return false;
}

void admit(const CorePtr& core, tcp::socket socket) {
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) {
    return;  // gone already
  }
  const asio::ip::address address = unmapped(peer.address());
  if (!make_room(*core, address_block(address))) {
    return;
  }
  Channel channel = core->context ? Channel(std::move(socket), *core->context, Role::server)
                                  : Channel(std::move(socket));
  std::make_shared<ServerSession>(core, std::move(channel), address)->start();
}

void accept_next(const CorePtr& core, tcp::acceptor& acceptor);

void accept_later(const CorePtr& core, tcp::acceptor& acceptor) {
  ++core->counters.accept_errors;
  const auto timer = std::make_shared<asio::steady_timer>(core->service, kAcceptPause);
  timer->async_wait([core, &acceptor, timer](boost::system::error_code /*error*/) {
    if (!core->stopped) {
      accept_next(core, acceptor);
    }
  });
}

void accept_next(const CorePtr& core, tcp::acceptor& acceptor) {
  acceptor.async_accept([core, &acceptor](boost::system::error_code error, tcp::socket socket) {
    if (core->stopped) {
      return;
    }
    if (error && error != asio::error::connection_aborted) {
      accept_later(core, acceptor);
      return;
    }
    if (!error) {
      admit(core, std::move(socket));
    }
    if (!core->stopped) {
      accept_next(core, acceptor);
    }
  });
}

}  // namespace

Result<HttpsServer> HttpsServer::create(asio::io_context& service, ServerOptions options,
                                        const Random& random, Handler handler) {
  auto core = std::make_shared<ServerCore>(service, std::move(options), random, std::move(handler));
  if (core->options.certificate) {
    auto context = server_context(*core->options.certificate);
    if (!context) {
      return tl::unexpected(std::move(context.error()));
    }
    core->context = std::move(*context);
    core->options.certificate.reset();  // OpenSSL has its own copy of the key
  }
  renew_keys_when_due(*core, ServerCore::Clock::now());
  sweep_regularly(core);
  return HttpsServer(std::move(core));
}

HttpsServer::HttpsServer(std::shared_ptr<ServerCore> core) noexcept : core_(std::move(core)) {}

HttpsServer::HttpsServer(HttpsServer&&) noexcept = default;

HttpsServer& HttpsServer::operator=(HttpsServer&& other) noexcept {
  if (this != &other) {
    stop();
    core_ = std::move(other.core_);
  }
  return *this;
}

HttpsServer::~HttpsServer() {
  stop();
}

Result<HttpsServer::Endpoint> HttpsServer::listen(const Endpoint& endpoint) {
  tcp::acceptor& acceptor = core_->acceptors.emplace_back(core_->service);
  boost::system::error_code error =
      listen_on(acceptor, endpoint, tcp::acceptor::max_listen_connections);
  Endpoint real;
  if (!error) {
    real = acceptor.local_endpoint(error);
  }
  if (error) {
    core_->acceptors.pop_back();
    return fail(Errc::io, "cannot listen on port " + std::to_string(endpoint.port()) + ": " +
                              error.message());
  }
  accept_next(core_, acceptor);
  return real;
}

void HttpsServer::stop() {
  if (core_) {
    core_->stop();
  }
}

const ServerCounters& HttpsServer::counters() const noexcept {
  return core_->counters;
}

}  // namespace allium::control
