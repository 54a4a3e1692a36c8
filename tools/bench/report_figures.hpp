// SPDX-License-Identifier: Apache-2.0
#pragma once

// The figures that a report is read for, out of the results of its runs, with the bars that they are measured by.
//
//   Units      ratios, Gbit/s of UDP payload, millions of packets a second.
//   Threads    reentrant.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace allium::bench {

enum class Better : std::uint8_t { higher, lower };

/// What a figure is, whatever was measured.
struct FigureKind {
  const char* key;
  const char* text;
  const char* unit;  ///< "x" of a ratio
  Better better;
  std::optional<double> bar;
  std::optional<double> aim;
  bool is_absolute;  ///< its bar holds for the reference machine alone
};

/// In the order in which they are read.
[[nodiscard]] std::span<const FigureKind> figure_kinds();

/// Nothing where there is no such figure.
[[nodiscard]] const FigureKind* figure_kind(std::string_view key);

struct Figure {
  const FigureKind* kind = nullptr;
  std::optional<double> value;
  double low = 0;  ///< of the repeats
  double high = 0;
  std::string missing;            ///< why there is no value
  std::vector<std::string> from;  ///< ids of the runs
  boost::json::object
      conditions;  ///< "loop_bytes", "tsc_hz", "steal_percent" where the runs name them
};

/// One a kind. `runs` as carry_out makes them. A figure has a value only where all its runs are "measured".
[[nodiscard]] std::vector<Figure> figures_of(const boost::json::array& runs,
                                             const std::string& best_onion,
                                             const std::string& best_x25519);

/// Adds "figures", "figures_spread", "figures_missing", "figures_from", "figures_conditions" and "bars".
void put_figures(const std::vector<Figure>& figures, boost::json::object& report);

}  // namespace allium::bench
