// SPDX-License-Identifier: Apache-2.0
#pragma once

// Messages that wait for one connection to take them, bounded in bytes.
//
//   Ownership  owns the messages. `total` is the sum of all outboxes of an endpoint and outlives
//              them.
//   Threads    the service thread.

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

namespace allium::control {

class Outbox {
 public:
  explicit Outbox(std::size_t& total_bytes) : total_bytes_(total_bytes) {}

  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  /// False: it would be more than `bytes_max` here, or `total_bytes_max` everywhere. The first
  /// message may be bigger than `bytes_max`.
  [[nodiscard]] bool push(std::vector<std::string>&& frames, std::size_t bytes_max,
                          std::size_t total_bytes_max);

  [[nodiscard]] bool is_empty() const noexcept { return messages_.empty(); }

  [[nodiscard]] const std::vector<std::string>& front() const { return messages_.front(); }

  void pop();

 private:
  std::size_t& total_bytes_;
  std::size_t bytes_ = 0;
  std::deque<std::vector<std::string>> messages_;
};

}  // namespace allium::control
