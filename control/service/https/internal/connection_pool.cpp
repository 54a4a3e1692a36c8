// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/connection_pool.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace allium::control {
namespace {

using Clock = std::chrono::steady_clock;

/// Nobody speaks on an idle connection but TLS itself; `read` answers want_read after that.
Transfer listen_to(Channel& channel) {
  std::array<char, 1> unexpected{};
  return channel.read(boost::asio::buffer(unexpected));
}

}  // namespace

std::string destination_of(const Url& url) {
  return url.scheme + (url.trust == Trust::anyone ? "://" : "+trust://") + url.host + ' ' +
         std::to_string(url.port);
}

ConnectionPool::ConnectionPool(boost::asio::io_context& service, const ClientOptions& options)
    : options_(options), timer_(service) {}

bool ConnectionPool::begin_request(const std::string& destination) {
  if (request_count_ >= options_.requests_max) {
    return false;
  }
  Host& host = hosts_[destination];
  if (host.request_count >= options_.requests_per_host_max) {
    return false;
  }
  ++host.request_count;
  ++request_count_;
  return true;
}

void ConnectionPool::end_request(const std::string& destination) {
  --hosts_[destination].request_count;
  --request_count_;
  forget_surplus();
}

ConnectionPool::ChannelPtr ConnectionPool::take(const std::string& destination) {
  const auto found = hosts_.find(destination);
  while (found != hosts_.end() && !found->second.idle.empty()) {
    const ChannelPtr channel = std::move(found->second.idle.back().channel);
    found->second.idle.pop_back();
    --idle_count_;
    boost::system::error_code ignored;
    channel->socket().cancel(ignored);  // the watch
    if (listen_to(*channel).step == Step::want_read) {
      return channel;
    }
    channel->close();
  }
  return nullptr;
}

void ConnectionPool::give(const std::string& destination, ChannelPtr channel) {
  Host& host = hosts_[destination];
  if (closed_ || host.idle.size() >= options_.idle_per_host_max ||
      idle_count_ >= options_.idle_max) {
    channel->close();
    return;
  }
  host.idle.push_back({channel, Clock::now() + options_.idle_timeout});
  ++idle_count_;
  watch(destination, channel);
  sweep_later();
}

void ConnectionPool::watch(const std::string& destination, const ChannelPtr& channel) {
  channel->async_wait(Step::want_read, [self = shared_from_this(), destination,
                                        channel](boost::system::error_code error) {
    if (error) {
      return;  // taken, or closed
    }
    if (self->is_idle(destination, channel)) {
      self->hear(destination, channel);
    }
  });
}

bool ConnectionPool::is_idle(const std::string& destination, const ChannelPtr& channel) const {
  const auto host = hosts_.find(destination);
  return host != hosts_.end() &&
         std::any_of(host->second.idle.begin(), host->second.idle.end(),
                     [&channel](const Idle& idle) { return idle.channel == channel; });
}

void ConnectionPool::hear(const std::string& destination, const ChannelPtr& channel) {
  if (listen_to(*channel).step == Step::want_read) {
    watch(destination, channel);
    return;
  }
  channel->close();
  idle_count_ -= hosts_[destination].idle.remove_if(
      [&channel](const Idle& idle) { return idle.channel == channel; });
}

SSL_SESSION* ConnectionPool::session_of(const std::string& destination) const {
  const auto host = hosts_.find(destination);
  return host == hosts_.end() ? nullptr : host->second.session.get();
}

void ConnectionPool::remember_session(const std::string& destination, const Channel& channel) {
  if (!channel.is_tls()) {
    return;
  }
  TlsSession session(SSL_get1_session(channel.tls()));
  if (session && SSL_SESSION_is_resumable(session.get()) == 1) {
    hosts_[destination].session = std::move(session);
  }
}

void ConnectionPool::sweep_later() {
  if (timer_runs_ || idle_count_ == 0) {
    return;
  }
  timer_runs_ = true;
  timer_.expires_after(options_.idle_timeout / 2);
  timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
    self->timer_runs_ = false;
    if (!error && !self->closed_) {
      self->sweep();
      self->sweep_later();
    }
  });
}

void ConnectionPool::sweep() {
  const auto now = Clock::now();
  for (auto& [destination, host] : hosts_) {
    idle_count_ -= host.idle.remove_if([now](const Idle& idle) {
      if (idle.until > now) {
        return false;
      }
      idle.channel->close();
      return true;
    });
  }
}

void ConnectionPool::forget_surplus() {
  for (auto host = hosts_.begin(); hosts_.size() > options_.hosts_max && host != hosts_.end();) {
    const bool is_used = host->second.request_count > 0 || !host->second.idle.empty();
    host = is_used ? std::next(host) : hosts_.erase(host);
  }
}

void ConnectionPool::close() {
  closed_ = true;
  timer_.cancel();
  for (auto& [destination, host] : hosts_) {
    for (const Idle& idle : host.idle) {
      idle.channel->close();
    }
    host.idle.clear();
  }
  idle_count_ = 0;
}

}  // namespace allium::control
