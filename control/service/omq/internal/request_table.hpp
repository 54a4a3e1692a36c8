// SPDX-License-Identifier: Apache-2.0
#pragma once

// Requests of this node that have no answer yet, by tag, each with a timer of its own.
//
//   Ownership  owns the callbacks. A request leaves the table by `take`, which also stops its
//              timer.
//   Threads    the service thread.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

struct OmqRequest {
  OmqConnection connection{};
  std::string command;
  std::uint64_t serial = 0;
  OmqAnswered answered;
  std::unique_ptr<boost::asio::steady_timer> timer;
};

class RequestTable {
 public:
  explicit RequestTable(boost::asio::io_context& io) : io_(io) {}

  [[nodiscard]] std::size_t count() const noexcept { return requests_.size(); }

  /// The new request's tag: 16 random bytes. `expired` is called with it, unless it was taken
  /// before.
  [[nodiscard]] std::string add(OmqConnection connection, std::string command,
                                std::chrono::milliseconds timeout, OmqAnswered answered,
                                std::function<void(const std::string& tag)> expired);

  /// Nothing: no such tag, or one of a request that went by another connection.
  [[nodiscard]] std::optional<OmqRequest> take(std::string_view tag, OmqConnection connection);

  /// The oldest one by this connection with this command: a refusal of unknown commands has no tag.
  [[nodiscard]] std::optional<OmqRequest> take_oldest(OmqConnection connection,
                                                      std::string_view command);

  [[nodiscard]] std::vector<OmqRequest> take_all(OmqConnection connection);

 private:
  boost::asio::io_context& io_;
  std::uint64_t last_serial_ = 0;
  std::unordered_map<std::string, OmqRequest> requests_;
};

}  // namespace allium::control
