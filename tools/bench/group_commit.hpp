// SPDX-License-Identifier: Apache-2.0
#pragma once

// What it is worth that stores which arrive together share one sync: the rate of RocksStore with many in flight over its rate with
// one at a time, on one disk in one run.
//
//   Units      bytes, stores a second.
//   Errors     Errc::io: the directory; what RocksStore says.
//   Threads    one, and the store's own.
//   Limits     kCommitRounds rounds of kCommitRoundTime for each of the two, and kCommitStoresMax stores a round.

#include <chrono>
#include <cstddef>
#include <string>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::bench {

inline constexpr int kCommitRounds = 9;
inline constexpr std::chrono::milliseconds kCommitRoundTime{200};
inline constexpr std::size_t kCommitStoresMax = 20'000;

struct GroupCommit {
  std::size_t in_flight = 0;
  // Medians of the rounds.
  double grouped_per_s = 0;  ///< `in_flight` stores at a time
  double single_per_s = 0;   ///< one at a time, so a sync each
  double ratio = 0;          ///< of the two of a round
  bool in_memory = false;    ///< a file system without a disk: a sync costs nothing there
};

/// In a directory of its own below `parent`, which is removed again. Messages of `size` bytes.
[[nodiscard]] Result<GroupCommit> measure_group_commit(const std::string& parent, std::size_t size,
                                                       std::size_t in_flight, const Random& random);

}  // namespace allium::bench
