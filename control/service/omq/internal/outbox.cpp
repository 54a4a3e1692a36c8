// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/outbox.hpp"

#include <utility>

namespace allium::control {

namespace {

// What a frame costs beyond its bytes; so that many empty ones are not free.
constexpr std::size_t kFrameBytes = 64;

std::size_t bytes_of_message(const std::vector<std::string>& frames) noexcept {
  std::size_t bytes = 0;
  for (const std::string& frame : frames) {
    bytes += kFrameBytes + frame.size();
  }
  return bytes;
}

}  // namespace

Outbox::~Outbox() {
  total_bytes_ -= bytes_;
}

bool Outbox::push(std::vector<std::string>&& frames, std::size_t bytes_max,
                  std::size_t total_bytes_max) {
  const std::size_t bytes = bytes_of_message(frames);
  if ((!messages_.empty() && bytes_ + bytes > bytes_max) ||
      total_bytes_ + bytes > total_bytes_max) {
    return false;
  }
  messages_.push_back(std::move(frames));
  bytes_ += bytes;
  total_bytes_ += bytes;
  return true;
}

void Outbox::pop() {
  const std::size_t bytes = bytes_of_message(messages_.front());
  messages_.pop_front();
  bytes_ -= bytes;
  total_bytes_ -= bytes;
}

}  // namespace allium::control
