// SPDX-License-Identifier: Apache-2.0
#pragma once

// The search for the highest rate at which what is offered comes out (RFC 2544, section 26.1; "NDR" and "PDR" of others): it
// halves what is left between a rate that passed and one that did not. Knows nothing of relays.
//
//   Units      packets a second.
//   Errors     those of the trials.
//   Threads    reentrant.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "crypto_accel/base/result.hpp"

namespace allium::bench {

/// Packets offered at one rate for some time.
struct Trial {
  double wanted_pps = 0;
  double offered_pps = 0;  ///< what the generator reached
  std::uint64_t offered = 0;
  std::uint64_t lost = 0;
  std::uint64_t interruptions = 0;  ///< of the relay, by whatever shares its core

  [[nodiscard]] double loss() const noexcept {
    return offered == 0 ? 0 : static_cast<double>(lost) / static_cast<double>(offered);
  }
};

using RunTrial = std::function<Result<Trial>(double pps)>;

struct SearchLimits {
  double most_pps = 0;    ///< nothing above it is tried
  double loss_max = 0;    ///< part of the packets that may be lost; 0: none
  double step_pps = 0;    ///< the search ends when no more than this is between the two rates
  std::size_t tries = 3;  ///< of a rate at which packets were lost while the relay was interrupted
};

struct FoundRate {
  double pps = 0;            ///< the most offered in a trial that passed; 0: none did
  bool is_at_least = false;  ///< the most that may be tried passed
};

/// `trials` has those that were run already, and gets the new ones: what they say is not asked again.
[[nodiscard]] Result<FoundRate> find_rate(const SearchLimits& limits, const RunTrial& run,
                                          std::vector<Trial>& trials);

}  // namespace allium::bench
