// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bounds what connections have inside libzmq that it has not handed over: looks at it now and again, and cuts whoever has too much. What
// one may have is what libzmq takes of a connection that nobody reads, with one message more; where all together have too much, the
// address that has most gives way, with its connection that has most.
//
//   Ownership  borrows the table and the listener's socket, which outlive it.
//   Threads    the service thread.
//   Cost       a system call a connection each time, two where something has come.

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class InputWatch : public std::enable_shared_from_this<InputWatch> {
 public:
  struct Cuts {
    std::function<void(const Output& output)> incoming;
    std::function<void(OmqLink& link)> outgoing;
  };

  InputWatch(boost::asio::io_context& io, const OmqOptions& options, ConnectionTable& links,
             ZmqSocket& router, Cuts cuts);

  /// Now and again and again, every OmqOptions::input_interval.
  void look();

 private:
  struct Holder;

  void sample();
  void cut_those_with_too_much();
  [[nodiscard]] std::vector<Holder> holders() const;
  void cut(const Holder& holder) const;

  const OmqOptions& options_;
  ConnectionTable& links_;
  ZmqSocket& router_;
  Cuts cuts_;
  boost::asio::steady_timer timer_;
};

}  // namespace allium::control
