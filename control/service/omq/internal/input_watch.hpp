// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bounds what connections have inside libzmq that it has not handed over: looks at it now and again, and cuts whoever has had too much of a
// message since the look before. Where all together have too much, whole messages that wait for this thread as well, who has not ended one
// for longest gives way, of the address that has most if that is more than a quarter. And finds those that have ended without libzmq's
// noticing it, which only another listener can end (README.md, "stuck").
//
//   Ownership  borrows the table and the listener, which outlive it.
//   Threads    the service thread.
//   Cost       a system call a connection each time, two where something has come.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/internal/connection_table.hpp"
#include "control/service/omq/internal/listener.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class InputWatch : public std::enable_shared_from_this<InputWatch> {
 public:
  struct Cuts {
    std::function<void(const Output& output)> incoming;
    std::function<void(OmqLink& link)> outgoing;
    std::function<void()> stuck;  ///< all that came in
  };

  InputWatch(boost::asio::io_context& io, const OmqOptions& options, ConnectionTable& links,
             const Listener& listener, Cuts cuts);

  /// Now and again and again, every OmqOptions::input_interval.
  void look();

  /// So many connections from there are stuck, or were, that no more are to be let in.
  [[nodiscard]] bool is_shut(AddressBlock block) const { return shut_until_.contains(block); }

 private:
  struct Holder;

  void sample();
  void cut_those_with_too_much();
  void end_stuck();
  void shut(AddressBlock block, InputTally::Clock::time_point until);
  [[nodiscard]] std::vector<Holder> holders() const;
  void cut(const Holder& holder) const;

  const OmqOptions& options_;
  ConnectionTable& links_;
  const Listener& listener_;
  Cuts cuts_;
  boost::asio::steady_timer timer_;
  std::map<AddressBlock, InputTally::Clock::time_point> shut_until_;
  InputTally::Clock::time_point ended_stuck_at_ = InputTally::Clock::now();
};

}  // namespace allium::control
