// SPDX-License-Identifier: Apache-2.0
#pragma once

// This node's own requests, from the question to its one answer: a reply, a refusal, a time-out, or the end of the connection.
//
//   Ownership  owns the requests; borrows what it is made with. Shared, so that what is posted can watch it.
//   Errors     to the callback, as OmqEndpoint::request() says.
//   Threads    the service thread. Callbacks are never called inside ask().
//   Limits     `requests_max` without an answer.

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/dialer.hpp"
#include "control/service/omq/internal/request_table.hpp"
#include "control/service/omq/internal/sender.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/omq/omq_message.hpp"

namespace allium::control {

class Requester : public std::enable_shared_from_this<Requester> {
 public:
  using Link = ConnectionTable::Link;

  Requester(boost::asio::io_context& io, std::size_t requests_max, ConnectionTable& links,
            Dialer& dialer, Sender& sender, OmqCounters& counters);

  void ask(const OmqPeer& peer, std::string command, OmqParts parts,
           std::chrono::milliseconds timeout, OmqAnswered answered, OmqPriority priority);

  void take_reply(const Link& link, const OmqMessage& message, OmqParts frames);
  void take_refusal(const Link& link, const OmqMessage& message);

  /// What waits for an answer by it gets none.
  void connection_closed(OmqConnection connection);

 private:
  void answer_later(OmqAnswered answered, Error error);
  void expire(const std::string& tag, OmqConnection connection);

  boost::asio::io_context& io_;
  std::size_t requests_max_;
  ConnectionTable& links_;
  Dialer& dialer_;
  Sender& sender_;
  OmqCounters& counters_;
  RequestTable requests_;
};

}  // namespace allium::control
