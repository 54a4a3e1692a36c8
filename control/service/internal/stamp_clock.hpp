// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gives commands their stamps (storage/message_store.hpp, When): a logical clock that keeps close to the real one (hybrid logical
// clock, Kulkarni et al. 2014). What this node has seen came before what it is asked now, though another node's clock be ahead.
//
//   Threads    one, the service thread's.

#include <algorithm>
#include <cstdint>

#include "storage/message_store.hpp"

namespace allium::control::internal {

class StampClock {
 public:
  /// `node` sets the stamps of different nodes apart; those that are alike in it share them in the same instant.
  explicit StampClock(std::uint16_t node) : node_(node % kNodes) {}

  /// Greater than any that was given or seen.
  [[nodiscard]] storage::Stamp next(std::uint64_t now_ms) {
    last_ = std::max(storage::stamp_of(now_ms), last_ - last_ % kNodes + kNodes) + node_;
    return last_;
  }

  void saw(storage::Stamp stamp) { last_ = std::max(last_, stamp); }

 private:
  /// In the low digits. Above them there is room for a thousand commands a millisecond.
  static constexpr storage::Stamp kNodes = 1024;

  storage::Stamp node_;
  storage::Stamp last_ = 0;
};

}  // namespace allium::control::internal
