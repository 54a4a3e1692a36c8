// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages that wait for one connection to take them. Who may add to it is OutputPool's to say.
//
//   Ownership  owns the messages.
//   Threads    the service thread.

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

namespace allium::control {

/// What a message costs while it waits, with what its frames cost beyond their bytes: many empty ones are not free.
[[nodiscard]] std::size_t waiting_bytes(const std::vector<std::string>& frames) noexcept;

class Outbox {
 public:
  void push(std::vector<std::string>&& frames);
  void pop();
  void clear();

  [[nodiscard]] bool is_empty() const noexcept { return messages_.empty(); }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  [[nodiscard]] std::vector<std::string>& front() { return messages_.front().frames; }

  [[nodiscard]] std::size_t front_bytes() const { return messages_.front().bytes; }

 private:
  struct Message {
    std::vector<std::string> frames;
    std::size_t bytes;
  };

  std::size_t bytes_ = 0;
  std::deque<Message> messages_;
};

}  // namespace allium::control
