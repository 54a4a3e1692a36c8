// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gives commands their stamps (storage/message_store.hpp, When): a logical clock that keeps close to the real one (hybrid logical
// clock, Kulkarni et al. 2014). What this node has seen came before what it is asked now, though another node's clock be ahead.
//
//   Threads    one, the service thread's.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include <boost/json/object.hpp>

#include "control/service/internal/json_fields.hpp"
#include "storage/message_store.hpp"

namespace allium::control::internal {

/// By how much the clocks of two good nodes, each 2 s off at most, differ.
inline constexpr std::uint64_t kClocksApartMs = 4'000;

/// The command's stamp in what members hand on. Peers of another make pass it by.
inline constexpr std::string_view kAskedField = "asked";

[[nodiscard]] inline std::optional<storage::Stamp> stamp_in(
    const boost::json::object& params) noexcept {
  const std::optional<std::int64_t> stamp = number_in(params, kAskedField);
  return stamp && *stamp >= 0 ? std::optional(static_cast<storage::Stamp>(*stamp)) : std::nullopt;
}

class StampClock {
 public:
  /// `node` sets the stamps of different nodes apart; those that are alike in it share them in the same instant. `seen` is the latest stamp
  /// that an earlier process saw; of a clock that was wrong then no more is believed than good nodes' clocks differ. Stamps are no later
  /// than they must be: what a client asks of another node next has that node's, and is to be later.
  StampClock(std::uint16_t node, std::uint64_t now_ms, storage::Stamp seen)
      : node_(node % kNodes), last_(std::min(seen, storage::stamp_of(now_ms + kOffMs))) {}

  /// Greater than any that was given or seen.
  [[nodiscard]] storage::Stamp next(std::uint64_t now_ms) {
    last_ = std::max(storage::stamp_of(now_ms), last_ - last_ % kNodes + kNodes) + node_;
    return last_;
  }

  void saw(storage::Stamp stamp) { last_ = std::max(last_, stamp); }

 private:
  /// In the low digits. Above them there is room for a thousand commands a millisecond.
  static constexpr storage::Stamp kNodes = 1024;
  /// Of good nodes' clocks, from the right time (clock watch).
  static constexpr std::uint64_t kOffMs = 2'000;

  storage::Stamp node_;
  storage::Stamp last_;
};

}  // namespace allium::control::internal
