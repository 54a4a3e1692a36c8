// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_figures.hpp"

#include <algorithm>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "tests/unit/bench/report_test_data.hpp"
#include "tools/bench/json_lookup.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

using test::FakeProgram;
using test::vector_machine;

json::value report_of(FakeProgram& program, const ReportMachine& machine = vector_machine()) {
  return test::fake_report(program, machine);
}

ProgramEnd ending_in(const json::object& result) {
  return {0, false, json::serialize(result), ""};
}

TEST(ReportFigures, EachIsThereOnceAndInOrder) {
  const std::vector<std::string> expected = {
      "d_over_ipsec_mb",           "v_over_ipsec_mb",         "d_crypto_over_floor",
      "d_gbit_per_core",           "v_mpps_per_core",         "x25519_over_libsodium",
      "path_opens_over_libsodium", "burst1_over_burst32",     "burst4_over_burst32",
      "burst8_over_burst32",       "garbage_cost_over_valid", "two_cores_over_one"};
  FakeProgram program;
  const json::value report = report_of(program);
  std::vector<std::string> keys;
  for (const auto& [key, value] : report.at("figures").as_object()) {
    keys.emplace_back(key);
    EXPECT_TRUE(value.is_double()) << key;
  }
  EXPECT_EQ(keys, expected);
  EXPECT_TRUE(report.at("figures_missing").as_object().empty());
}

TEST(ReportFigures, ComeFromTheResults) {
  FakeProgram program;
  json::object bursts = test::forward_result(500);
  for (const double ratio : {1.05, 1.1, 1.3, 2.0, 3.5}) {
    test::add_contender(ratio, bursts);
  }
  program.answers["--class d --burst 32"] = ending_in(bursts);
  const json::value report = report_of(program);

  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/burst4_over_burst32"), 1.3);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures_spread/burst4_over_burst32/low"), 1.3 * 0.9);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures_spread/burst4_over_burst32/high"), 1.3 * 1.1);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/burst1_over_burst32"), 3.5);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/burst8_over_burst32"), 1.1);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/d_over_ipsec_mb"), 4);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/d_crypto_over_floor"), 1.5);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/x25519_over_libsodium"), 7);
  EXPECT_NEAR(*number_at(report, "/figures_spread/d_crypto_over_floor/high"), 1.5 * 1.02, 1e-9);
  EXPECT_NEAR(*number_at(report, "/figures_spread/x25519_over_libsodium/low"), 7 / 1.02, 1e-9);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/v_mpps_per_core"), 4);
  EXPECT_NEAR(*number_at(report, "/figures_spread/v_mpps_per_core/low"), 4 / 1.1, 1e-9);
  EXPECT_NEAR(*number_at(report, "/figures/d_gbit_per_core"), 4 * 1.232 * 8, 1e-9);
  EXPECT_DOUBLE_EQ(*number_at(report, "/figures/two_cores_over_one"), 2);
  EXPECT_NEAR(*number_at(report, "/figures_spread/two_cores_over_one/low"), 2 / 1.1, 1e-9);
  EXPECT_EQ(report.at("figures_from").at("two_cores_over_one"), json::value({"cores_d"}));
}

TEST(ReportFigures, OneRepeatIsARangeOfNothing) {
  json::object once = test::forward_result(500);
  for (const double cycles : {3459.3, 2571.7, 333.3, 49.49}) {
    for (const char* key :
         {"cycles_per_packet", "cycles_per_packet_min", "cycles_per_packet_max"}) {
      once[key] = cycles;
    }
    once["mpps"] = 2100 / cycles;
    FakeProgram program;
    program.answers["--class v --compare-kernels"] = ending_in(once);
    const json::value report = report_of(program);
    const double value = *number_at(report, "/figures/v_mpps_per_core");
    EXPECT_LE(*number_at(report, "/figures_spread/v_mpps_per_core/low"), value);
    EXPECT_GE(*number_at(report, "/figures_spread/v_mpps_per_core/high"), value);
  }
}

TEST(ReportFigures, SayUnderWhichConditions) {
  FakeProgram program;
  const json::value report = report_of(program);
  for (const auto& [key, value] : report.at("figures").as_object()) {
    const std::string place = "/figures_conditions/" + std::string(key);
    EXPECT_EQ(number_at(report, place + "/tsc_hz"), 2e9) << key;
    EXPECT_EQ(number_at(report, place + "/steal_percent"), 0.25) << key;
  }
  EXPECT_EQ(number_at(report, "/figures_conditions/d_over_ipsec_mb/loop_bytes"), 36e6);
}

TEST(ReportFigures, BarsAreThoseOfTheProject) {
  FakeProgram program;
  json::object garbage = test::forward_result(700);
  for (const double ratio : {0.9, 0.8, 0.5, 0.4}) {
    test::add_contender(ratio, garbage);
  }
  program.answers["--compare-bad-tags"] = ending_in(garbage);
  const json::value report = report_of(program);

  EXPECT_EQ(number_at(report, "/bars/d_over_ipsec_mb/bar"), 3.0);
  EXPECT_EQ(number_at(report, "/bars/d_over_ipsec_mb/aim"), 3.7);
  EXPECT_TRUE(is_true_at(report, "/bars/d_over_ipsec_mb/meets_aim"));
  EXPECT_FALSE(is_true_at(report, "/bars/v_over_ipsec_mb/meets_bar")) << "4 where 4.5 is the bar";
  EXPECT_TRUE(is_true_at(report, "/bars/d_crypto_over_floor/meets_aim"))
      << "1.5 where less is better";
  EXPECT_FALSE(is_true_at(report, "/bars/garbage_cost_over_valid/meets_bar"));
  EXPECT_TRUE(report.at("bars").at("two_cores_over_one").at("bar").is_null());
  EXPECT_EQ(text_at(report, "/bars/d_gbit_per_core/holds_for"), "the reference machine");
}

TEST(ReportFigures, InvalidBooksGiveNoFigure) {
  json::object invalid = test::forward_result(500);
  test::add_contender(4, invalid);
  test::add_contender(4, invalid);
  invalid["valid"] = false;
  FakeProgram program;
  program.answers["--class v --compare-kernels"] = {1, false, json::serialize(invalid), ""};
  const json::value report = report_of(program);

  EXPECT_TRUE(report.at("figures").at("v_over_ipsec_mb").is_null());
  EXPECT_TRUE(report.at("figures").at("v_mpps_per_core").is_null());
  EXPECT_NE(text_at(report, "/figures_missing/v_over_ipsec_mb").find("books"), std::string::npos);
  EXPECT_FALSE(report.at("figures").at("d_over_ipsec_mb").is_null());
  EXPECT_FALSE(is_complete(report.as_object()));
}

TEST(ReportFigures, APlainMachineNamesWhatItLacks) {
  ReportMachine plain;
  plain.onion_kernels = {"ipsec-mb-sse", "ipsec-mb"};
  plain.x25519_kernels = {"libsodium"};
  plain.best_onion = "ipsec-mb";
  plain.best_x25519 = "libsodium";
  FakeProgram program;
  const json::value report = report_of(program, plain);

  EXPECT_NE(text_at(report, "/figures_missing/d_over_ipsec_mb").find("ipsec-mb"),
            std::string::npos);
  EXPECT_NE(text_at(report, "/figures_missing/x25519_over_libsodium").find("libsodium"),
            std::string::npos);
  EXPECT_EQ(text_at(report, "/figures_missing/two_cores_over_one"), "this machine has one core");
  // A rate needs no other kernel.
  EXPECT_EQ(report.at("figures_from").at("d_gbit_per_core"), json::value({"kernel_d"}));
}

TEST(ReportFigures, ResultsWithoutTheirNumbersGiveNoFigure) {
  FakeProgram program;
  program.answers["--class d --burst 32"] = ending_in(test::forward_result(500));
  json::object nothing = test::forward_result(500);
  for (int i = 0; i < 4; ++i) {
    test::add_contender(0, nothing);
  }
  program.answers["--compare-bad-tags"] = ending_in(nothing);
  program.answers["bench crypto"] =
      ending_in({{"schema", "allium.bench.crypto/1"}, {"figures", json::array()}});
  const json::value report = report_of(program);

  EXPECT_EQ(text_at(report, "/figures_missing/burst1_over_burst32"), "burst_d has no ratio of 1");
  EXPECT_FALSE(text_at(report, "/figures_missing/garbage_cost_over_valid").empty());
  EXPECT_EQ(text_at(report, "/figures_missing/d_crypto_over_floor"),
            "crypto has no chain_l3 of vaes over ipsec-mb floor_l3");
}

TEST(ReportFigures, SkippedPointsLeaveAReportComplete) {
  ReportMachine machine = vector_machine();
  machine.available_memory_bytes = 100'000'000;
  FakeProgram program;
  const json::object report = test::fake_report(program, machine);
  EXPECT_TRUE(is_complete(report));
}

}  // namespace
}  // namespace allium::bench
