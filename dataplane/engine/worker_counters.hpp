// SPDX-License-Identifier: Apache-2.0
#pragma once

// The counters of one worker. It alone writes; anybody reads a consistent state.
//
//   Threads    one writer; begin() and end() bracket each group of changes that belong together (a
//              sequence lock), so a reader sees balanced books even while packets fly.
//   Cost       plain loads and stores.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dataplane/control_port/messages.hpp"
#include "dataplane/onion/verdict.hpp"

namespace allium::dataplane {

class alignas(64) WorkerCounters {
 public:
  void begin() noexcept {
    version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
  }

  void end() noexcept {
    version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  void add_received(std::uint64_t count) noexcept { add(received_, count); }

  void add_not_onion(std::uint64_t count) noexcept { add(not_onion_, count); }

  void add_answers(std::uint64_t count) noexcept { add(answers_, count); }

  void add_challenges(std::uint64_t count) noexcept { add(challenges_, count); }

  /// `wire_type` 0: the type was not known yet.
  void add_verdicts(std::size_t wire_type, onion::Verdict verdict, std::uint64_t count) noexcept {
    add(by_type_[wire_type][static_cast<std::size_t>(verdict)], count);
  }

  void add_parked(std::int64_t change) noexcept {
    add(parked_, static_cast<std::uint64_t>(change));
  }

  /// Adds this worker's numbers to `sum`.
  void sum_into(control_port::Counters& sum) const noexcept;

 private:
  using Counter = std::atomic<std::uint64_t>;

  static void add(Counter& counter, std::uint64_t count) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }

  Counter version_{0};
  Counter received_{0};
  Counter not_onion_{0};
  Counter answers_{0};
  Counter challenges_{0};
  Counter parked_{0};
  std::array<std::array<Counter, onion::kVerdictCount>, 8> by_type_{};
};

}  // namespace allium::dataplane
