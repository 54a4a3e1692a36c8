// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/input_watch.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace allium::control {

namespace {

// Of an address, in OmqLimits::stuck_per_address: what has ended in this moment is no reason yet.
constexpr std::size_t kOverMax = 4;

}  // namespace

/// One of the two is there.
struct InputWatch::Holder {
  std::size_t held = 0;
  bool may_be_whole = false;  ///< messages that this thread has not come to yet
  InputTally::Clock::time_point since;
  AddressBlock block = 0;
  std::shared_ptr<Output> incoming;
  ConnectionTable::Link outgoing;
};

InputWatch::InputWatch(boost::asio::io_context& io, const OmqOptions& options,
                       ConnectionTable& links, const Listener& listener, Cuts cuts)
    : options_(options), links_(links), listener_(listener), cuts_(std::move(cuts)), timer_(io) {}

void InputWatch::look() {
  // By the sample before: what was whole then may have been handed over since.
  cut_those_with_too_much();
  sample();
  end_stuck();
  timer_.expires_after(options_.input_interval);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<InputWatch> self = weak.lock();
    if (!error && self) {
      self->look();
    }
  });
}

void InputWatch::sample() {
  for (auto& [descriptor, incoming] : links_.incoming()) {
    incoming.input.sample();
  }
  // After the samples, so that every message that was complete by then is seen. Asking may swallow the sign of what is there.
  if (listener_.router()->has_input()) {
    listener_.router()->drain_soon();
  } else {
    for (auto& [descriptor, incoming] : links_.incoming()) {
      incoming.input.settle();
    }
  }
  for (const ConnectionTable::Link& link : links_.outgoing()) {
    link->note_connections();
    link->input.sample();
    if (link->socket->has_input()) {
      link->socket->drain_soon();
    } else {
      link->input.settle();
    }
  }
}

std::vector<InputWatch::Holder> InputWatch::holders() const {
  std::vector<Holder> found;
  const bool may_be_whole = listener_.router()->has_input();
  for (const auto& [descriptor, incoming] : links_.incoming()) {
    if (incoming.input.held() > 0 && !incoming.is_lost) {
      found.push_back({.held = incoming.input.held(),
                       .may_be_whole = may_be_whole,
                       .since = incoming.input.unfinished_since(),
                       .block = address_block(incoming.output->peer.address()),
                       .incoming = incoming.output,
                       .outgoing = nullptr});
    }
  }
  for (const ConnectionTable::Link& link : links_.outgoing()) {
    if (link->input.held() > 0) {
      found.push_back({.held = link->input.held(),
                       .may_be_whole = link->socket->has_input(),
                       .since = link->input.unfinished_since(),
                       .block = address_block(link->address),
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
  std::map<AddressBlock, std::size_t> of_block;
  for (const Holder& holder : all) {
    total += holder.held;
    of_block[holder.block] += holder.held;
  }
  const auto take_out = [&](std::vector<Holder>::iterator holder) {
    cut(*holder);
    total -= holder->held;
    of_block[holder->block] -= holder->held;
    holder->held = 0;
  };
  for (auto holder = all.begin(); holder != all.end(); ++holder) {
    if (!holder->may_be_whole && holder->held > options_.limits.input_bytes) {
      take_out(holder);
    }
  }
  while (total > options_.limits.inputs_bytes) {
    const auto most = std::max_element(
        of_block.begin(), of_block.end(),
        [](const auto& left, const auto& right) { return left.second < right.second; });
    // Who sends faster than this thread reads ends messages all the time; a slow one that sends a long message does not.
    const bool is_its_doing = most->second > options_.limits.inputs_bytes / 4 ||
                              std::any_of(all.begin(), all.end(),
                                          [](const Holder& holder) { return holder.may_be_whole; });
    const auto gives_way_before = [&](const Holder& left, const Holder& right) {
      const auto rank = [&](const Holder& holder) {
        return std::tuple(holder.held == 0, is_its_doing && holder.block != most->first,
                          holder.since);
      };
      return rank(left) < rank(right);
    };
    take_out(std::min_element(all.begin(), all.end(), gives_way_before));
  }
}

void InputWatch::shut(AddressBlock block, InputTally::Clock::time_point until) {
  InputTally::Clock::time_point& end = shut_until_[block];
  end = std::max(end, until);
}

void InputWatch::end_stuck() {
  struct OfBlock {
    std::size_t over = 0;  ///< what has ended, and may be stuck
    std::size_t stuck = 0;
  };

  const OmqLimits& limits = options_.limits;
  const auto now = InputTally::Clock::now();
  std::size_t count = 0;
  std::size_t bytes = 0;
  std::map<AddressBlock, OfBlock> blocks;
  for (const auto& [descriptor, incoming] : links_.incoming()) {
    if (!incoming.input.is_over()) {
      continue;
    }
    OfBlock& of_block = blocks[address_block(incoming.output->peer.address())];
    ++of_block.over;
    if (incoming.input.is_stuck(options_.stuck_after)) {
      ++of_block.stuck;
      ++count;
      bytes += incoming.input.held();
    }
  }
  std::erase_if(shut_until_, [now](const auto& shut) { return shut.second < now; });
  std::vector<AddressBlock> culprits;
  for (const auto& [block, of_it] : blocks) {
    if (of_it.stuck >= limits.stuck_per_address) {
      culprits.push_back(block);
    }
    if (of_it.stuck >= limits.stuck_per_address ||
        of_it.over >= kOverMax * limits.stuck_per_address) {
      shut(block, now + 2 * options_.input_interval);  // unless it is so at the next look
    }
  }
  const bool are_too_many = count >= limits.stuck || bytes >= limits.stuck_bytes;
  // Else nobody's neighbour would be let in again.
  const bool is_time = !culprits.empty() && now >= ended_stuck_at_ + options_.stuck_interval;
  if (!are_too_many && !is_time) {
    return;
  }
  ended_stuck_at_ = now;
  for (const AddressBlock block : culprits) {
    shut_until_.erase(block);
    if (are_too_many) {
      shut(block, now + options_.stuck_interval);
    }
  }
  cuts_.stuck();
}

}  // namespace allium::control
