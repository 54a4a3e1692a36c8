// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which plots the runs of a report make.
//
//   Threads    reentrant.

#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "tools/bench/svg_plot.hpp"

namespace allium::bench {

struct ReportPlot {
  Plot plot;
  bool is_bars = false;
  std::string note;
};

/// One a group that has a measured run, and those of single functions that the run "crypto" makes.
[[nodiscard]] std::vector<ReportPlot> plots_of(const boost::json::object& report);

}  // namespace allium::bench
