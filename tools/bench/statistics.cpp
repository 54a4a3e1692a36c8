// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "crypto_accel/base/check.hpp"

namespace allium::bench {

double median(std::vector<double> values) {
  ALLIUM_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double quantile(std::vector<double> values, double part) {
  ALLIUM_CHECK(!values.empty() && part > 0 && part <= 1);
  // A rank that is whole but for rounding (0.99 * 200) must not become the next one.
  const double rank = std::ceil(part * static_cast<double>(values.size()) - 1e-9);
  const auto wanted = values.begin() + static_cast<std::ptrdiff_t>(std::max(rank, 1.0)) - 1;
  std::nth_element(values.begin(), wanted, values.end());
  return *wanted;
}

double mean(const std::vector<double>& values) {
  ALLIUM_CHECK(!values.empty());
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double spread_percent(const std::vector<double>& values) {
  const double middle = median(values);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return middle == 0 ? 0 : 100.0 * (*high - *low) / middle;
}

}  // namespace allium::bench
