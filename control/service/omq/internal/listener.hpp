// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where others come in: accepts their TCP connections, and gives those that have sent something their turns.
//
//   Ownership  owns the TCP sockets that listen; borrows what it is made with.
//   Errors     Errc::io: an address cannot be bound. Without descriptors for more, those who come wait.
//   Threads    the service thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/omq/internal/incoming.hpp"
#include "control/service/omq/internal/turns.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  struct Events {
    /// Somebody is there.
    std::function<void(boost::asio::ip::tcp::socket socket,
                       const boost::asio::ip::tcp::endpoint& peer)>
        came;
    /// After the turn of one that may be closed by now.
    std::function<void(const Incoming& connection)> had_turn;
    /// Of those that wait for a turn every second is a service node's, if there is one.
    std::function<bool(const Incoming& connection)> is_node;
    /// After some turns.
    std::function<void()> rested;
  };

  Listener(boost::asio::io_context& io, Events events) : io_(io), events_(std::move(events)) {}

  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Also this one, and accepts from there from now on. Errc::io.
  [[nodiscard]] Result<void> listen(const boost::asio::ip::tcp::endpoint& endpoint);

  /// No event comes any more.
  void stop();

  [[nodiscard]] const std::vector<boost::asio::ip::tcp::endpoint>& endpoints() const noexcept {
    return endpoints_;
  }

  /// It is to have a turn.
  void add(const std::shared_ptr<Incoming>& connection);

 private:
  using Waiting = Turns<std::shared_ptr<Incoming>>;

  static constexpr std::size_t kScratchBytes = 256UL * 1024;

  struct Door {
    boost::asio::ip::tcp::acceptor acceptor;
    boost::asio::steady_timer pause;
  };

  void accept_next(Door& door);
  void let_in(boost::asio::ip::tcp::socket socket);
  void accept_later(Door& door);
  void give_turns();
  void give_turns_soon();
  [[nodiscard]] Waiting& next();

  boost::asio::io_context& io_;
  Events events_;
  std::list<Door> doors_;
  std::vector<boost::asio::ip::tcp::endpoint> endpoints_;
  Waiting nodes_;
  Waiting others_;
  bool is_nodes_turn_ = false;
  bool is_posted_ = false;
  bool is_stopped_ = false;
  std::array<std::uint8_t, kScratchBytes> scratch_;  ///< to read into
};

}  // namespace allium::control
