// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/statistics.hpp"

#include <algorithm>

#include "crypto_accel/base/check.hpp"

namespace allium::bench {

double median(std::vector<double> values) {
  ALLIUM_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread_percent(const std::vector<double>& values) {
  const double middle = median(values);
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return middle == 0 ? 0 : 100.0 * (*high - *low) / middle;
}

}  // namespace allium::bench
