// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bounds what has come in and is of no message yet that could be handed over: of connections that came in as they have it, of own ones
// what is inside libzmq, which is looked at now and again. Whoever has had too much of a message of these since the look before is cut. Where
// all together have too much, whole messages inside libzmq as well, of the address that has most, service nodes last, who has not ended one for
// longest gives way: a slow client that is alone at its address has less than those for whom there is no room.
//
//   Ownership  borrows the table, which outlives it.
//   Threads    the service thread.
//   Cost       look(): a system call an own connection, two where something has come.

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class InputWatch : public std::enable_shared_from_this<InputWatch> {
 public:
  struct Cuts {
    std::function<void(const Incoming& connection)> incoming;
    std::function<void(OmqLink& link)> outgoing;
  };

  InputWatch(boost::asio::io_context& io, const OmqOptions& options, ConnectionTable& links,
             const OmqEndpoint::IsServiceNode& is_service_node, Cuts cuts);

  /// At own connections, and again and again, every OmqOptions::input_interval.
  void look();

  /// Where connections that came in have more than before.
  void incoming_grew();

 private:
  struct Holder;

  void sample();
  void cut_those_with_too_much();
  [[nodiscard]] std::vector<Holder> holders() const;
  void cut(const Holder& holder) const;

  const OmqOptions& options_;
  ConnectionTable& links_;
  const OmqEndpoint::IsServiceNode& is_service_node_;
  Cuts cuts_;
  boost::asio::steady_timer timer_;
  std::size_t held_outgoing_ = 0;  ///< as of the last look
};

}  // namespace allium::control
