// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_html.hpp"

#include <algorithm>
#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "tests/unit/bench/report_test_data.hpp"
#include "tools/bench/report_plots.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

using test::FakeProgram;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ReportHtml, NeedsNothingElse) {
  FakeProgram program;
  const std::string page = report_html(test::fake_report(program));
  for (const char* word : {"<script", "<link", "<img", "<iframe", "@import", "url(",
                           "src=", "href=", "http:", "https:"}) {
    EXPECT_FALSE(contains(page, word)) << word;
  }
}

TEST(ReportHtml, ShowsFiguresFirstThenTheRest) {
  FakeProgram program;
  const std::string page = report_html(test::fake_report(program));
  std::size_t last = 0;
  for (const char* heading : {"Figures and their bars", "What was not measured", "Method",
                              "Environment", "Plots", "Runs", "Raw data"}) {
    const std::size_t at = page.find("<h2>" + std::string(heading));
    ASSERT_NE(at, std::string::npos) << heading;
    EXPECT_GT(at, last) << heading;
    last = at;
  }
  EXPECT_TRUE(contains(page, "reaches the aim"));
  EXPECT_TRUE(contains(page, "misses the bar"));
}

TEST(ReportHtml, TakesNoTextForMarkup) {
  FakeProgram program;
  program.answers["--class d --burst 32"] = {3, false, "",
                                             "error: <script>alert(1)</script> & more\n"};
  const std::string page = report_html(test::fake_report(program));
  EXPECT_FALSE(contains(page, "<script"));
  EXPECT_TRUE(contains(page, "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"));
  EXPECT_TRUE(contains(page, "Model &lt;X&gt; &amp; &quot;Y&quot;"));
}

TEST(ReportHtml, NamesWhatFailed) {
  FakeProgram program;
  program.answers["--class d --ip 6"] = {3, false, "", "error: no such frames\n"};
  const std::string page = report_html(test::fake_report(program));
  EXPECT_TRUE(contains(page, "class_d_IPv6 failed"));
  EXPECT_TRUE(contains(page, "no such frames"));
}

TEST(ReportHtml, EveryGroupWithARunHasAPlot) {
  json::object staged = test::forward_result(500);
  staged["stages"] = {{"parse", 20}, {"layer", 300}};
  FakeProgram program;
  program.answers["--stages"] = {0, false, json::serialize(staged), ""};
  const json::object report = test::fake_report(program);
  // And three of single functions.
  EXPECT_EQ(plots_of(report).size(), report.at("groups").as_array().size() + 3);
  const std::string page = report_html(report);
  EXPECT_TRUE(contains(page, "layer"));
  EXPECT_TRUE(contains(page, "<svg"));
}

TEST(ReportHtml, RatesThatAreKeptAreBarsOfBothClasses) {
  FakeProgram program;
  const auto plots = plots_of(test::fake_report(program));
  const auto found = std::find_if(plots.begin(), plots.end(), [](const ReportPlot& made) {
    return made.plot.title == "Rates that are kept";
  });
  ASSERT_NE(found, plots.end());
  EXPECT_TRUE(found->is_bars);
  EXPECT_EQ(found->plot.y_title, "Mpps");
  EXPECT_EQ(found->plot.labels, (std::vector<std::string>{"none", "0.5 %", "flooded"}));
  ASSERT_EQ(found->plot.series.size(), 2U);
  EXPECT_DOUBLE_EQ(found->plot.series[1].values[0]->value, 1.5);
  EXPECT_DOUBLE_EQ(found->plot.series[1].values[2]->value, 2);
}

TEST(ReportHtml, PointsAreContendersInTheOrderOfTheirNumbers) {
  FakeProgram program;
  for (const ReportPlot& made : plots_of(test::fake_report(program))) {
    if (made.plot.x_title == "burst" && made.plot.title.rfind("Packets", 0) == 0) {
      EXPECT_EQ(made.plot.labels, (std::vector<std::string>{"1", "2", "4", "8", "16", "32"}));
      ASSERT_EQ(made.plot.series.size(), 4U) << "both classes, and without devices";
      EXPECT_DOUBLE_EQ(made.plot.series[0].values[5]->value, 500);
      EXPECT_DOUBLE_EQ(made.plot.series[0].values[0]->value, 2000);
      EXPECT_TRUE(made.plot.series[2].is_faint);
      EXPECT_DOUBLE_EQ(made.plot.series[2].values[0]->value, 1950);
    }
    if (made.plot.title == "Cores") {
      EXPECT_EQ(made.plot.labels, (std::vector<std::string>{"1", "2"}));
      EXPECT_DOUBLE_EQ(made.plot.series[0].values[1]->value, 8);
    }
  }
}

TEST(ReportHtml, WithoutAnyRunThereIsStillAPage) {
  FakeProgram program;
  program.answers["allium"] = {3, false, "", "error: nothing works\n"};
  const json::object report = test::fake_report(program);
  EXPECT_TRUE(plots_of(report).empty());
  EXPECT_TRUE(contains(report_html(report), "No run of a plot was measured"));
}

}  // namespace
}  // namespace allium::bench
