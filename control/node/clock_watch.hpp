// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far this node's clock is off, from what other nodes say the time is: the median over nodes of their clock minus ours, each
// taken at the middle of a question and its answer. Relays must be within two seconds of UTC (SPEC.md section 3).
//
//   Units     milliseconds.
//   Threads   one.
//   Limits    kSamplesMax nodes, the latest ones; one sample a node.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "control/network/ed25519.hpp"

namespace allium::control {

class ClockWatch {
 public:
  static constexpr std::size_t kSamplesMax = 15;
  static constexpr std::size_t kSamplesNeeded = 3;
  static constexpr std::int64_t kOffsetMaxMs = 2000;
  /// What is near the bound does not swing: an offset below this is good again.
  static constexpr std::int64_t kGoodAgainMs = 1500;
  static constexpr std::uint64_t kRoundTripMaxMs = 4000;
  static constexpr std::uint64_t kSampleLifeMs = 600'000;

  /// `node` said that it is `their_ms`; asked at `sent_ms` and heard at `heard_ms` of our clock. Answers that took too long
  /// tell nothing.
  void add(const IdentityKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
           std::uint64_t heard_ms);

  /// Ours minus theirs; none: too few nodes have said it.
  [[nodiscard]] std::optional<std::int64_t> offset_ms(std::uint64_t now_ms) const;

  /// False once the offset is known to be beyond the bound, until it is known to be good.
  [[nodiscard]] bool is_good(std::uint64_t now_ms);

 private:
  struct Sample {
    IdentityKey node{};
    std::int64_t offset_ms = 0;
    std::uint64_t at_ms = 0;
  };

  std::deque<Sample> samples_;
  bool is_good_ = true;
};

}  // namespace allium::control
