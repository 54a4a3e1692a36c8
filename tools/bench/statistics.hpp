// SPDX-License-Identifier: Apache-2.0
#pragma once

// What repeated measurements say together.
//
//   Units      those of the values.
//   Threads    reentrant.

#include <vector>

namespace allium::bench {

/// The middle one, or the mean of the two in the middle. Requires at least one value.
[[nodiscard]] double median(std::vector<double> values);

/// The smallest value that at least this part of all values does not exceed (nearest rank): 0.99 of 200 values is the 198th.
/// Requires at least one value and 0 < part <= 1.
[[nodiscard]] double quantile(std::vector<double> values, double part);

/// Requires at least one value.
[[nodiscard]] double mean(const std::vector<double>& values);

/// From smallest to largest, in percent of the median. Requires at least one value; 0 where the median is 0.
[[nodiscard]] double spread_percent(const std::vector<double>& values);

}  // namespace allium::bench
