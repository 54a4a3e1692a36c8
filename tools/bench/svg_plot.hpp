// SPDX-License-Identifier: Apache-2.0
#pragma once

// A plot as an <svg> element for the middle of an HTML page: no script, no font and no colour of its own. The page's
// style sheet has the classes "axis", "grid", "text", "s0" to "s7" of the series, and "faint".
//
//   Units      those of the values; the axis begins at 0.
//   Threads    reentrant.

#include <optional>
#include <string>
#include <vector>

namespace allium::bench {

struct PlotValue {
  double value = 0;
  double low = 0;
  double high = 0;
};

/// One value a label, or none where it was not measured.
struct PlotSeries {
  std::string name;
  std::vector<std::optional<PlotValue>> values;
  bool is_faint = false;  ///< drawn behind, without its range
};

struct Plot {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::vector<std::string> labels;
  std::vector<PlotSeries> series;
};

/// Values over evenly spaced labels, joined by lines; a line breaks where a value is missing.
[[nodiscard]] std::string line_plot(const Plot& plot);

/// A group of bars a label, lying, so that long labels have room.
[[nodiscard]] std::string bar_plot(const Plot& plot);

/// `text` with what means something in HTML escaped; bytes that no XML may have become question marks.
[[nodiscard]] std::string html_text(const std::string& text);

/// Three digits, or all that stand before the point: "0.283", "34.1", "5099".
[[nodiscard]] std::string short_number(double number);

}  // namespace allium::bench
