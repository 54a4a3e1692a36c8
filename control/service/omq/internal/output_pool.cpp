// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/output_pool.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace allium::control {

namespace {

constexpr std::size_t kPipeBytes = 64UL * 1024;
constexpr std::size_t kNodePipeBytes = 1024UL * 1024;

PipeTally::Clock::time_point moved_at(const Output& output) {
  return std::max(output.began_at, output.pipe->moved_at());
}

}  // namespace

bool Output::has_pipe_room(std::size_t bytes) const noexcept {
  const std::size_t in_pipe = pipe->in_pipe();
  return in_pipe == 0 || in_pipe + bytes <= (is_node ? kNodePipeBytes : kPipeBytes);
}

std::size_t OutputPool::borrowed_by(std::size_t held) const noexcept {
  return held > limits_.client_bytes ? held - limits_.client_bytes : 0;
}

void OutputPool::set_counts(const OutputPtr& output, std::size_t held) {
  borrowed_bytes_ -= output->borrowed;
  node_bytes_ -= output->is_node ? output->held : 0;
  output->held = held;
  output->borrowed = output->is_node ? 0 : borrowed_by(held);
  borrowed_bytes_ += output->borrowed;
  node_bytes_ += output->is_node ? held : 0;
  if (output->borrowed > 0) {
    borrowers_.insert(output);
  } else {
    borrowers_.erase(output);
  }
}

void OutputPool::count(const OutputPtr& output) {
  set_counts(output, output->outbox.bytes() + output->pipe->in_pipe());
}

void OutputPool::count_borrowers() {
  const std::vector<OutputPtr> all(borrowers_.begin(), borrowers_.end());
  for (const OutputPtr& output : all) {
    count(output);
  }
}

void OutputPool::close(const OutputPtr& output) {
  set_counts(output, 0);
}

bool OutputPool::admit(const OutputPtr& output, std::size_t bytes, bool is_node,
                       OmqPriority priority) {
  if (output->is_node != is_node) {
    set_counts(output, 0);
    output->is_node = is_node;
  }
  count(output);
  if (output->held == 0) {
    output->began_at = PipeTally::Clock::now();
  }
  // One bigger message may always wait alone.
  const std::size_t share = is_node && priority == OmqPriority::low ? 2 : 1;
  const std::size_t bytes_max = (is_node ? limits_.peer_bytes : limits_.client_bytes_max) / share;
  if (output->held > 0 && output->held + bytes > bytes_max) {
    return false;
  }
  if (is_node) {
    return node_bytes_ + bytes <= limits_.peers_bytes / share;
  }
  return make_room(output, bytes);
}

bool OutputPool::make_room(const OutputPtr& output, std::size_t bytes) {
  const auto fits = [&] {
    const std::size_t more = borrowed_by(output->held + bytes) - output->borrowed;
    return borrowed_bytes_ + more <= limits_.pool_bytes;
  };
  if (fits()) {
    return true;
  }
  count_borrowers();
  std::map<AddressBlock, std::size_t> of_block;
  for (const OutputPtr& one : borrowers_) {
    of_block[one->block] += one->borrowed;
  }
  // A slow client alone at its address has borrowed less than a crowd, whether that reads a little or not.
  const auto rank = [&](const OutputPtr& one) {
    return std::pair(~of_block[one->block], moved_at(*one));
  };
  while (!fits() && !borrowers_.empty()) {
    const OutputPtr first = *std::min_element(
        borrowers_.begin(), borrowers_.end(),
        [&](const OutputPtr& left, const OutputPtr& right) { return rank(left) < rank(right); });
    of_block[first->block] -= first->borrowed;
    cut_(first);
    close(first);
    if (first == output) {
      return false;
    }
  }
  return fits();
}

}  // namespace allium::control
