// SPDX-License-Identifier: Apache-2.0
#pragma once

// What `allium-bench-dp no-drop` is asked to measure.
//
//   Units      packets; seconds.

#include <optional>

#include "tools/bench/forward_options.hpp"

namespace allium::bench {

struct NoDropOptions {
  ForwardOptions
      traffic;  ///< class, IP version, sessions, packets, burst, set, pages; rings and one worker
  double trial_seconds = 1;
  double step_percent = 1;  ///< of the most that the relay forwards: how near the search comes
};

/// Nothing where a word is unknown or a number out of its bounds.
[[nodiscard]] std::optional<NoDropOptions> parse_no_drop_options(int argc, char** argv);

}  // namespace allium::bench
