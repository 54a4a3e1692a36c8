// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_compare.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "tests/unit/bench/report_test_data.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

// Two figures, one that is better higher, one lower, both with a range of 1 % to each side.
json::object report(double ratio, double cost) {
  const auto spread = [](double value) {
    return json::object{{"low", value * 0.99}, {"high", value * 1.01}};
  };
  return {{"schema", "allium.bench.report/1"},
          {"environment",
           {{"cpu", "one"}, {"tsc_hz", 2e9}, {"pages", "2 MiB"}, {"kernels", "onion=a"}}},
          {"figures", {{"ratio", ratio}, {"cost", cost}}},
          {"figures_spread", {{"ratio", spread(ratio)}, {"cost", spread(cost)}}},
          {"figures_missing", json::object()},
          {"bars", {{"ratio", {{"better", "higher"}}}, {"cost", {{"better", "lower"}}}}}};
}

Comparison comparison(const json::object& a, const json::object& b, double max_regress = 2) {
  auto made = compare_measurements(a, b, max_regress);
  EXPECT_TRUE(made) << made.error().text;
  return made.value_or(Comparison{});
}

TEST(ReportCompare, FasterIsMoreOfARateAndLessOfACost) {
  const Comparison made = comparison(report(3, 0.4), report(4, 0.3));
  ASSERT_EQ(made.figures.size(), 2U);
  EXPECT_EQ(made.figures[0].change, Change::faster);
  EXPECT_NEAR(made.figures[0].gain_percent, 33.3, 0.1);
  EXPECT_EQ(made.figures[1].change, Change::faster);
  EXPECT_NEAR(made.figures[1].gain_percent, 25, 0.1);
  EXPECT_TRUE(is_no_regress(made));
  EXPECT_TRUE(made.warnings.empty());
}

TEST(ReportCompare, SlowerIsARegressBeyondWhatIsAllowed) {
  const Comparison made = comparison(report(4, 0.3), report(3.8, 0.3));
  EXPECT_EQ(made.figures[0].change, Change::slower);
  EXPECT_TRUE(made.figures[0].is_regress);
  EXPECT_EQ(made.figures[1].change, Change::same);
  EXPECT_FALSE(is_no_regress(made));
  EXPECT_TRUE(is_no_regress(comparison(report(4, 0.3), report(3.8, 0.3), 6)));
  EXPECT_FALSE(is_no_regress(comparison(report(4, 0.3), report(4, 0.33))));
}

TEST(ReportCompare, ADifferenceInsideTheRangesIsNone) {
  const Comparison made = comparison(report(4, 0.3), report(3.93, 0.303), 0);
  EXPECT_EQ(made.figures[0].change, Change::same);
  EXPECT_EQ(made.figures[1].change, Change::same);
  EXPECT_TRUE(is_no_regress(made));
}

TEST(ReportCompare, WithoutRangesAWholePercentageCounts) {
  json::object a = report(4, 0.3);
  json::object b = report(3.95, 0.3);
  json::object c = report(3.9, 0.3);
  for (json::object* each : {&a, &b, &c}) {
    (*each)["figures_spread"] = json::object();
  }
  EXPECT_EQ(comparison(a, b).figures[0].change, Change::same);
  EXPECT_EQ(comparison(a, c).figures[0].change, Change::slower);
}

TEST(ReportCompare, WarnsOfAnotherMachine) {
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, json::value>>{
           {"cpu", "two"}, {"tsc_hz", 2.1e9}, {"pages", "4 KiB"}, {"kernels", "onion=b"}}) {
    json::object other = report(4, 0.3);
    other["environment"].as_object()[key] = value;
    EXPECT_EQ(comparison(report(4, 0.3), other).warnings.size(), 1U) << key;
  }
  json::object measured_again = report(4, 0.3);
  measured_again["environment"].as_object()["tsc_hz"] = 2.001e9;
  EXPECT_TRUE(comparison(report(4, 0.3), measured_again).warnings.empty());
}

TEST(ReportCompare, AFigureThatGotLostIsARegressAndANewOneIsNot) {
  json::object without = report(4, 0.3);
  without["figures"].as_object()["cost"] = nullptr;
  without["figures_missing"] = {{"cost", "it failed"}};

  const Comparison lost = comparison(report(4, 0.3), without);
  ASSERT_EQ(lost.missing.size(), 1U);
  EXPECT_EQ(lost.missing[0].reason, "B has none: it failed");
  EXPECT_FALSE(is_no_regress(lost));

  const Comparison found = comparison(without, report(4, 0.3));
  ASSERT_EQ(found.missing.size(), 1U);
  EXPECT_EQ(found.missing[0].reason, "A has none: it failed");
  EXPECT_TRUE(is_no_regress(found));

  json::object unknown = report(4, 0.3);
  unknown["figures"].as_object().erase("cost");
  EXPECT_FALSE(is_no_regress(comparison(report(4, 0.3), unknown)));
  EXPECT_TRUE(is_no_regress(comparison(unknown, report(4, 0.3))));
}

TEST(ReportCompare, ResultsOfForwardAreComparedByTheirCycles) {
  const Comparison made = comparison(test::forward_result(500), test::forward_result(300));
  ASSERT_EQ(made.figures.size(), 1U);
  EXPECT_EQ(made.figures[0].change, Change::faster);
  EXPECT_NEAR(made.figures[0].gain_percent, 40, 0.1);
  EXPECT_EQ(comparison(test::forward_result(500), test::forward_result(550)).figures[0].change,
            Change::same);
}

TEST(ReportCompare, DifferentWorkIsNotCompared) {
  json::object v = test::forward_result(500);
  v["class"] = "v";
  EXPECT_EQ(compare_measurements(test::forward_result(500), v, 2).error().code, Errc::refused);
  EXPECT_EQ(compare_measurements(test::forward_result(500), report(4, 0.3), 2).error().code,
            Errc::refused);
}

TEST(ReportCompare, ResultsOfCryptoAreComparedFunctionByFunction) {
  json::object other = test::crypto_result();
  auto& row = other["figures"].as_array()[0].as_object();
  row["cycles_per_packet_by_burst"].as_object()["32"] = 900;
  row["cycles_per_packet_high_by_burst"].as_object()["32"] = 900;
  row["cycles_per_packet_low_by_burst"].as_object()["32"] = 900;
  const Comparison made = comparison(test::crypto_result(), other);
  EXPECT_EQ(made.figures.size(), 14U);
  EXPECT_EQ(made.figures[1].key, "vaes chain_l3 d x32");
  EXPECT_TRUE(made.figures[1].is_regress);
  EXPECT_EQ(made.figures[0].change, Change::same);
}

TEST(ReportCompare, WhatIsNoMeasurementIsOneClearError) {
  json::object no_direction = report(4, 0.3);
  no_direction.erase("bars");
  json::object upside_down = report(4, 0.3);
  upside_down["figures_spread"].as_object()["ratio"] = {{"low", 5}, {"high", 3}};
  json::object text = report(4, 0.3);
  text["figures"].as_object()["ratio"] = "fast";
  json::object invalid = test::forward_result(500);
  invalid["valid"] = false;
  for (const json::value& bad : std::vector<json::value>{
           nullptr, json::array{1}, json::object(), no_direction, upside_down, text, invalid,
           json::object{{"schema", "allium.bench.report/1"}},
           json::object{{"schema", "allium.bench.report/2"}},
           json::object{{"schema", "allium.bench.crypto/1"}, {"figures", {1}}}}) {
    const auto made = compare_measurements(report(4, 0.3), bad, 2);
    ASSERT_FALSE(made) << json::serialize(bad);
    EXPECT_EQ(made.error().code, Errc::malformed) << json::serialize(bad);
    EXPECT_EQ(made.error().text.rfind("B ", 0), 0U) << made.error().text;
  }
}

TEST(ReportCompare, PeopleAndProgramsReadTheSame) {
  const Comparison made = comparison(report(4, 0.3), report(3, 0.3));
  const std::string text = comparison_text(made);
  EXPECT_NE(text.find("-25.0%  slower, more than allowed"), std::string::npos) << text;
  const json::value result = comparison_json(made, 2);
  EXPECT_EQ(result.at("schema"), "allium.bench.compare/1");
  EXPECT_EQ(result.at("regress"), true);
  EXPECT_EQ(result.at("figures").at(0).at("change"), "slower");
}

}  // namespace
}  // namespace allium::bench
