// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/svg_plot.hpp"

#include <string>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

Plot two_series() {
  Plot plot;
  plot.title = "title";
  plot.labels = {"1", "2", "4"};
  plot.series.resize(2);
  plot.series[0].name = "D";
  plot.series[0].values = {PlotValue{10, 9, 12}, PlotValue{20, 19, 21}, PlotValue{30, 30, 30}};
  plot.series[1].name = "V";
  plot.series[1].values = {PlotValue{5, 5, 5}, std::nullopt, PlotValue{7, 7, 7}};
  return plot;
}

TEST(SvgPlot, LinesMarkEveryValueAndBreakWhereOneIsMissing) {
  const std::string svg = line_plot(two_series());
  EXPECT_EQ(count(svg, "<circle"), 5U);
  EXPECT_EQ(count(svg, "<path"), 2U);
  EXPECT_EQ(count(svg, " L"), 2U) << "two joints of D, none of V";
  EXPECT_EQ(count(svg, "D, 2: 20.0 (19.0 to 21.0)"), 1U);
}

TEST(SvgPlot, BarsAreAsLongAsTheirValues) {
  Plot plot = two_series();
  plot.series.pop_back();
  plot.series[0].values = {PlotValue{10, 10, 10}, PlotValue{20, 20, 20}, std::nullopt};
  const std::string svg = bar_plot(plot);
  EXPECT_EQ(count(svg, "<rect"), 2U);
  EXPECT_EQ(count(svg, "not measured"), 1U);
  EXPECT_EQ(count(svg, "width=\"394.0\""), 1U);
  EXPECT_EQ(count(svg, "width=\"197.0\""), 1U);
}

TEST(SvgPlot, NothingToShowIsNoDivisionByZero) {
  Plot zero;
  zero.labels = {"1"};
  zero.series.resize(1);
  zero.series[0].values = {PlotValue{}};
  for (const std::string& svg : {line_plot({}), bar_plot({}), line_plot(zero), bar_plot(zero)}) {
    EXPECT_EQ(count(svg, "nan"), 0U);
    EXPECT_EQ(count(svg, "inf"), 0U);
    EXPECT_EQ(count(svg, "</svg>"), 1U);
  }
}

TEST(SvgPlot, TextIsEscaped) {
  EXPECT_EQ(html_text("a<b>&\"c\"\x01"), "a&lt;b&gt;&amp;&quot;c&quot;?");
}

TEST(SvgPlot, NumbersHaveThreeDigits) {
  EXPECT_EQ(short_number(0.2834), "0.283");
  EXPECT_EQ(short_number(3.456), "3.46");
  EXPECT_EQ(short_number(34.56), "34.6");
  EXPECT_EQ(short_number(5099.4), "5099");
  EXPECT_EQ(short_number(0), "0");
}

}  // namespace
}  // namespace allium::bench
