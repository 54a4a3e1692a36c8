// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who may let how much output wait. A client has OmqLimits::client_bytes of its own and borrows what is beyond from one pool that all
// clients share; what it reads is paid back. When the pool is empty, of the address that has borrowed most the one that has taken nothing for
// longest loses its connection: it is the one that does not read. Service nodes have a budget of their own.
//
//   Units      bytes: what is in the outbox, and what has been given away and is not written yet.
//   Ownership  an Output is shared by its connection and the pool, until it is closed.
//   Threads    the service thread.
//   Cost       O(1) while the pool is not used up; then O(borrowers), with a system call each.

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/internal/outbox.hpp"
#include "control/service/omq/internal/pipe_tally.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

/// What goes out by one connection.
struct Output {
  explicit Output(std::shared_ptr<PipeTally> pipe_) : pipe(std::move(pipe_)) {}

  /// No more than this is given away, or one bigger message: nobody can take it back.
  [[nodiscard]] bool has_pipe_room(std::size_t bytes) const noexcept;

  Outbox outbox;
  std::shared_ptr<PipeTally> pipe;
  int descriptor = -1;     ///< of one that came in
  AddressBlock block = 0;  ///< the same
  bool is_node = false;
  PipeTally::Clock::time_point began_at{};  ///< to have anything waiting

  // As the pool counted it last; never less than it is now.
  std::size_t held = 0;
  std::size_t borrowed = 0;
};

class OutputPool {
 public:
  using OutputPtr = std::shared_ptr<Output>;

  /// `cut` is called with those that lose their connection.
  OutputPool(const OmqLimits& limits, std::function<void(const OutputPtr&)> cut)
      : limits_(limits), cut_(std::move(cut)) {}

  /// May so many bytes more wait here? Others may be cut for it, or itself. `is_node`: it is a service node's at the moment.
  [[nodiscard]] bool admit(const OutputPtr& output, std::size_t bytes, bool is_node,
                           OmqPriority priority);

  /// After anything was added or left.
  void count(const OutputPtr& output);

  void close(const OutputPtr& output);

 private:
  void set_counts(const OutputPtr& output, std::size_t held);
  void count_borrowers();
  [[nodiscard]] bool make_room(const OutputPtr& output, std::size_t bytes);
  [[nodiscard]] std::size_t borrowed_by(std::size_t held) const noexcept;

  OmqLimits limits_;
  std::function<void(const OutputPtr&)> cut_;
  std::set<OutputPtr> borrowers_;
  std::size_t borrowed_bytes_ = 0;
  std::size_t node_bytes_ = 0;
};

}  // namespace allium::control
