// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a relay, the device behind it and its replay set counted between two moments.
//
//   Units      packets.
//   Threads    the main thread's.

#include <cstdint>

#include <boost/json/object.hpp>

#include "dataplane/control_port/messages.hpp"
#include "tools/bench/contender.hpp"

namespace allium::bench {

/// Up to a moment.
struct RelayBooks {
  control_port::Counters relay;
  std::uint64_t sink = 0;
  std::uint64_t written = 0;  ///< places taken in the replay set
};

[[nodiscard]] RelayBooks books_of(const Contender& contender);

/// Between two.
struct Outcome {
  std::uint64_t received = 0;
  std::uint64_t forwarded = 0;
  std::uint64_t sink = 0;
  std::uint64_t written = 0;
  boost::json::object drops;  ///< by reason; those of no packet are left out
};

[[nodiscard]] Outcome outcome_of(const RelayBooks& begin, const RelayBooks& end);

}  // namespace allium::bench
