// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sends messages on connections. What a connection does not take at once waits in its outbox, as far as OutputPool lets it.
//
//   Ownership  borrows what it is made with; shared, so that what is posted can watch it.
//   Threads    the service thread; what make_pipe() gives calls from libzmq's.

#include <atomic>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/pipe_tally.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class Sender : public std::enable_shared_from_this<Sender> {
 public:
  Sender(boost::asio::io_context& io, ConnectionTable& links, OutputPool& pool,
         const OmqEndpoint::IsServiceNode& is_service_node, OmqCounters& counters);

  /// False: it has no room, or its connection is over. A connection that takes nothing any more is closed.
  bool deliver(const ConnectionTable::Link& link, OmqParts frames,
               OmqPriority priority = OmqPriority::normal);

  /// Gives away what there is room for.
  void flush(const ConnectionTable::Link& link);
  void flush_waiting();

  /// For a new connection: wakes this when something has gone that others wait behind.
  [[nodiscard]] std::shared_ptr<PipeTally> make_pipe();

 private:
  [[nodiscard]] static ZmqSent send(const OmqLink& link, OmqParts& frames);
  void retry_later();

  boost::asio::io_context& io_;
  ConnectionTable& links_;
  OutputPool& pool_;
  const OmqEndpoint::IsServiceNode& is_service_node_;
  OmqCounters& counters_;
  boost::asio::steady_timer retry_timer_;
  bool is_retry_armed_ = false;

  /// a look at all outboxes is posted; by libzmq's thread, too.
  std::shared_ptr<std::atomic<bool>> is_flush_posted_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace allium::control
