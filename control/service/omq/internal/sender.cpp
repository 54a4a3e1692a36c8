// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/sender.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

namespace allium::control {

namespace {

// A send may swallow the sign that a pipe has room again; so those that wait also look by
// themselves.
constexpr std::chrono::milliseconds kRetryInterval{10};

}  // namespace

Sender::Sender(boost::asio::io_context& io, ConnectionTable& links, OutputPool& pool,
               const OmqEndpoint::IsServiceNode& is_service_node, OmqCounters& counters)
    : io_(io),
      links_(links),
      pool_(pool),
      is_service_node_(is_service_node),
      counters_(counters),
      retry_timer_(io) {}

bool Sender::deliver(const ConnectionTable::Link& link, OmqParts frames, OmqPriority priority) {
  link->last_used = OmqLink::Clock::now();
  const bool is_node = link->is_outgoing || is_service_node_(link->key);
  if (!pool_.admit(link->output, waiting_bytes(frames), is_node, priority)) {
    ++counters_.unsent_full;
    return false;
  }
  link->output->outbox.push(std::move(frames), priority);
  flush(link);
  if (link->is_closed) {
    return false;
  }
  if (link->is_outgoing) {
    link->socket->drain_soon();
  }
  pool_.count(link->output);
  if (!link->output->outbox.is_empty()) {
    links_.waiting.insert(link->number);
    retry_later();
  }
  return true;
}

std::shared_ptr<PipeTally> Sender::make_pipe() {
  return std::make_shared<PipeTally>(
      [weak = weak_from_this(), executor = io_.get_executor(), is_posted = is_flush_posted_] {
        if (is_posted->exchange(true)) {
          return;
        }
        boost::asio::post(executor, [weak, is_posted] {
          *is_posted = false;
          if (const std::shared_ptr<Sender> self = weak.lock()) {
            self->flush_waiting();
          }
        });
      });
}

ZmqSent Sender::send(const OmqLink& link, OmqParts& frames) {
  if (link.is_outgoing) {
    return link.socket->send(frames, link.output->pipe);
  }
  return link.incoming->send(frames) ? ZmqSent::sent : ZmqSent::gone;
}

void Sender::flush(const ConnectionTable::Link& link) {
  Output& output = *link->output;
  // Before the pipe is looked at: a frame that leaves it after that wakes us.
  output.pipe->set_waited_for(true);
  while (!output.outbox.is_empty()) {
    if (!output.has_pipe_room(output.outbox.front_bytes())) {
      return;
    }
    const ZmqSent sent = send(*link, output.outbox.front());
    if (sent == ZmqSent::full) {
      return;
    }
    if (sent == ZmqSent::gone) {
      ++counters_.unsent_gone;
      links_.close(*link);
      return;
    }
    output.outbox.pop();
    if (link->is_outgoing) {
      link->socket->drain_soon();
    }
  }
  output.pipe->set_waited_for(false);
  links_.waiting.erase(link->number);
}

void Sender::flush_waiting() {
  const std::vector<OmqConnection> numbers(links_.waiting.begin(), links_.waiting.end());
  for (const OmqConnection number : numbers) {
    if (const ConnectionTable::Link link = links_.find(number)) {
      flush(link);
    }
  }
}

void Sender::retry_later() {
  if (std::exchange(is_retry_armed_, true)) {
    return;
  }
  retry_timer_.expires_after(kRetryInterval);
  retry_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<Sender> self = weak.lock();
    if (error || !self) {
      return;
    }
    self->is_retry_armed_ = false;
    self->flush_waiting();
    if (!self->links_.waiting.empty()) {
      self->retry_later();
    }
  });
}

}  // namespace allium::control
