// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages that wait for one connection to take them, by priority and then as they came. Who may add to it is OutputPool's to say.
//
//   Ownership  owns the messages.
//   Threads    the service thread.

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

/// What a message costs while it waits, with what its frames cost beyond their bytes: many empty ones are not free.
[[nodiscard]] std::size_t waiting_bytes(const std::vector<std::string>& frames) noexcept;

class Outbox {
 public:
  void push(std::vector<std::string>&& frames, OmqPriority priority);
  void pop();
  void clear();

  [[nodiscard]] bool is_empty() const noexcept { return normal_.empty() && low_.empty(); }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::vector<std::string>& front() { return first().front().frames; }

  [[nodiscard]] std::size_t front_bytes() { return first().front().bytes; }

 private:
  struct Message {
    std::vector<std::string> frames;
    std::size_t bytes;
  };

  using Messages = std::deque<Message>;

  [[nodiscard]] Messages& first() noexcept { return normal_.empty() ? low_ : normal_; }

  std::size_t bytes_ = 0;
  Messages normal_;
  Messages low_;
};

}  // namespace allium::control
