// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/input_watch.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace allium::control {

namespace {

// Nobody's fault.
constexpr std::size_t kNothingBytes = 16UL * 1024;

}  // namespace

/// One of the two is there.
struct InputWatch::Holder {
  std::size_t held = 0;
  bool may_be_whole = false;  ///< messages that this thread has not come to yet
  InputTally::Clock::time_point since;
  AddressBlock block = 0;
  bool is_node = false;
  std::shared_ptr<Incoming> incoming;
  ConnectionTable::Link outgoing;
};

InputWatch::InputWatch(boost::asio::io_context& io, const OmqOptions& options,
                       ConnectionTable& links, const OmqEndpoint::IsServiceNode& is_service_node,
                       Cuts cuts)
    : options_(options),
      links_(links),
      is_service_node_(is_service_node),
      cuts_(std::move(cuts)),
      timer_(io) {}

void InputWatch::look() {
  // By the sample before: what was whole then may have been handed over since.
  cut_those_with_too_much();
  sample();
  timer_.expires_after(options_.input_interval);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<InputWatch> self = weak.lock();
    if (!error && self) {
      self->look();
    }
  });
}

void InputWatch::incoming_grew() {
  if (links_.incoming_held() + held_outgoing_ > options_.limits.inputs_bytes) {
    cut_those_with_too_much();
  }
}

void InputWatch::sample() {
  held_outgoing_ = 0;
  for (const ConnectionTable::Link& link : links_.outgoing()) {
    link->note_connections();
    link->input.sample();
    held_outgoing_ += link->input.held();
    // After the sample, so that every message that was complete by then is seen. Asking may swallow the sign of what is there.
    if (link->socket->has_input()) {
      link->socket->drain_soon();
    } else {
      link->input.settle();
    }
  }
}

std::vector<InputWatch::Holder> InputWatch::holders() const {
  std::vector<Holder> found;
  for (const auto& [descriptor, incoming] : links_.incoming()) {
    const std::shared_ptr<Incoming>& connection = incoming.connection;
    if (connection->held() > 0) {
      found.push_back({.held = connection->held(),
                       .since = connection->unfinished_since(),
                       .block = connection->block(),
                       .is_node = connection->is_admitted() && is_service_node_(connection->key()),
                       .incoming = connection,
                       .outgoing = nullptr});
    }
  }
  for (const ConnectionTable::Link& link : links_.outgoing()) {
    if (link->input.held() > 0) {
      found.push_back({.held = link->input.held(),
                       .may_be_whole = link->socket->has_input(),
                       .since = link->input.unfinished_since(),
                       .block = address_block(link->address),
                       .is_node = true,
                       .incoming = nullptr,
                       .outgoing = link});
    }
  }
  return found;
}

void InputWatch::cut(const Holder& holder) const {
  if (holder.incoming) {
    cuts_.incoming(*holder.incoming);
  } else {
    cuts_.outgoing(*holder.outgoing);
  }
}

void InputWatch::cut_those_with_too_much() {
  std::vector<Holder> all = holders();
  std::size_t total = 0;
  std::map<std::pair<bool, AddressBlock>, std::size_t> shares;  // of clients and of nodes
  for (const Holder& holder : all) {
    total += holder.held;
    shares[{holder.is_node, holder.block}] += holder.held;
  }
  const auto share_of = [&](const Holder& holder) -> std::size_t& {
    return shares[{holder.is_node, holder.block}];
  };
  const auto take_out = [&](Holder& holder) {
    cut(holder);
    total -= holder.held;
    share_of(holder) -= holder.held;
    holder.held = 0;
  };
  for (Holder& holder : all) {
    // One that came in has no more than its bounds let it.
    if (holder.outgoing && !holder.may_be_whole && holder.held > options_.limits.input_bytes) {
      take_out(holder);
    }
  }
  const auto rank = [&](const Holder& holder) {
    return std::tuple(holder.held == 0, holder.held <= kNothingBytes, holder.is_node,
                      ~share_of(holder), holder.since);
  };
  while (total > options_.limits.inputs_bytes) {
    Holder& first = *std::min_element(
        all.begin(), all.end(),
        [&](const Holder& left, const Holder& right) { return rank(left) < rank(right); });
    take_out(first);
  }
}

}  // namespace allium::control
