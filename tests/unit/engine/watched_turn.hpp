// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sees what a thread does between two points: system calls, reads of the time stamp counter (and with them of any
// clock that the kernel lends out without a call), locks. What it sees is carried out and counted. Memory is
// another matter: to allocate some ends the process (NoAllocation).
//
//   How        system calls by Syscall User Dispatch (Linux 5.11), with which a process of any user stops its own;
//              the counter by PR_SET_TSC; pthread's mutexes and read-write locks by functions in their place.
//              A spin lock in a header of DPDK, and a page fault, are not seen.
//   Errors     none. can_see_*() says what this machine can show; a test that needs it skips where it cannot.
//   Threads    one an object, one object a thread at a time.

#include <cstddef>
#include <cstdint>

#include "no_allocation.hpp"

namespace allium::dataplane {

struct Acts {
  std::uint64_t system_calls = 0;   ///< but for `bells`
  long first_system_call = -1;      ///< its number
  std::uint64_t bells = 0;          ///< writes of 8 bytes to the descriptor given
  std::uint64_t counter_reads = 0;  ///< rdtsc, rdtscp
  std::uint64_t clock_reads = 0;    ///< of the clock of the test's own
  std::uint64_t locks = 0;
};

class WatchedTurn {
 public:
  /// `bell`: a descriptor to which a write is counted apart; -1: none.
  explicit WatchedTurn(int bell = -1) noexcept;
  ~WatchedTurn();
  WatchedTurn(const WatchedTurn&) = delete;
  WatchedTurn& operator=(const WatchedTurn&) = delete;

  /// Ends the watch; what was seen.
  Acts end() noexcept;

  /// For a clock that a test hands in: counts a read where this thread is watched.
  static void note_clock_read() noexcept;

  [[nodiscard]] static bool can_see_system_calls() noexcept;
  [[nodiscard]] static bool can_see_counter_reads() noexcept;
  [[nodiscard]] static bool can_see_locks() noexcept;

 private:
  NoAllocation no_allocation_;
  bool is_watching_ = true;
};

}  // namespace allium::dataplane
