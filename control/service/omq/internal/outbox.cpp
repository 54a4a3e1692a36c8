// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/outbox.hpp"

#include <utility>

namespace allium::control {

namespace {

constexpr std::size_t kFrameBytes = 64;
constexpr std::size_t kMessageBytes = 64;

}  // namespace

std::size_t waiting_bytes(const std::vector<std::string>& frames) noexcept {
  std::size_t bytes = kMessageBytes;
  for (const std::string& frame : frames) {
    bytes += kFrameBytes + frame.size();
  }
  return bytes;
}

void Outbox::push(std::vector<std::string>&& frames, OmqPriority priority) {
  const std::size_t bytes = waiting_bytes(frames);
  (priority == OmqPriority::low ? low_ : normal_).push_back({std::move(frames), bytes});
  bytes_ += bytes;
}

void Outbox::pop() {
  bytes_ -= front_bytes();
  first().pop_front();
}

void Outbox::clear() {
  normal_.clear();
  low_.clear();
  bytes_ = 0;
}

}  // namespace allium::control
