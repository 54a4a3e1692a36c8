// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_runs.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "tests/unit/bench/report_test_data.hpp"
#include "tools/bench/json_lookup.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

ReportPlan plan_of(std::initializer_list<const char*> ids) {
  ReportPlan plan;
  for (const char* id : ids) {
    PlannedRun run;
    run.id = id;
    run.words = {"bench", "forward", id};
    plan.runs.push_back(run);
  }
  return plan;
}

TEST(ReportRuns, AValidResultIsMeasured) {
  test::FakeProgram program;
  const json::array runs = test::fake_runs(plan_of({"one"}), program);

  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(text_at(runs[0], "/state"), "measured");
  EXPECT_EQ(text_at(runs[0], "/command"), "allium bench forward one");
  EXPECT_EQ(number_at(runs[0], "/seconds"), 1);
  EXPECT_EQ(number_at(runs[0], "/result/cycles_per_packet"), 500);
}

TEST(ReportRuns, OneThatFailsIsNamedWithItsReasonAndTheRestGoesOn) {
  test::FakeProgram program;
  program.answers["two"] = {3, false, "", "making packets\nerror: no memory is left\n"};
  program.answers["three"] = {
      2, false, "", "there is no option --three\nRun with --help for more information.\n"};
  program.answers["four"] = {139, false, "", ""};
  program.answers["five"] = {0, false, "not JSON", ""};
  program.answers["six"] = {0, false, "[1]", "bad \xff byte\n"};
  const json::array runs =
      test::fake_runs(plan_of({"one", "two", "three", "four", "five", "six", "last"}), program);

  ASSERT_EQ(runs.size(), 7U);
  EXPECT_EQ(text_at(runs[1], "/reason"), "no memory is left (exit code 3)");
  EXPECT_EQ(text_at(runs[2], "/reason"), "there is no option --three (exit code 2)");
  EXPECT_EQ(text_at(runs[3], "/reason"), "ended by signal 11");
  EXPECT_EQ(text_at(runs[4], "/reason"), "exit code 0");
  EXPECT_EQ(text_at(runs[5], "/reason"), "bad ? byte (exit code 0)");
  for (std::size_t i = 1; i < 6; ++i) {
    EXPECT_EQ(text_at(runs[i], "/state"), "failed") << i;
    EXPECT_FALSE(runs[i].as_object().contains("result")) << i;
  }
  EXPECT_EQ(text_at(runs[6], "/state"), "measured");
}

TEST(ReportRuns, BooksThatDoNotAgreeAreNoMeasurement) {
  json::object result = test::forward_result(500);
  result["valid"] = false;
  result["drops"] = {{"replay", 7}};
  test::FakeProgram program;
  program.answers["one"] = {1, false, json::serialize(result), ""};
  program.answers["two"] = {1, false, json::serialize(test::forward_result(500)), ""};
  const json::array runs = test::fake_runs(plan_of({"one", "two"}), program);

  EXPECT_EQ(text_at(runs[0], "/state"), "invalid");
  EXPECT_EQ(text_at(runs[0], "/reason"), "its books do not agree; drops: replay 7");
  EXPECT_EQ(text_at(runs[1], "/state"), "invalid") << "a program that failed has measured nothing";
}

TEST(ReportRuns, TimeIsBoundForEachAndForAll) {
  test::FakeProgram program;
  std::vector<double> allowed;
  const auto runs = carry_out(
      plan_of({"one", "two", "three", "four"}), {2.5, 2},
      [&](const auto& words, const auto& kernels, double seconds) {
        allowed.push_back(seconds);
        auto end = program(words, kernels, seconds);
        end->is_overdue = allowed.size() == 1;
        return end;
      },
      [&] { return program.now_s; }, [](const std::string&) {});

  ASSERT_TRUE(runs);
  EXPECT_EQ(allowed, (std::vector<double>{2, 1.5, 0.5}));
  EXPECT_EQ(text_at((*runs)[0], "/reason"), "it took longer than 2.0 s");
  EXPECT_EQ(text_at((*runs)[1], "/state"), "measured");
  EXPECT_EQ(text_at((*runs)[3], "/state"), "failed");
  EXPECT_EQ(text_at((*runs)[3], "/reason"), "the time of the report was up (2.5 s)");
}

TEST(ReportRuns, WhatThisMachineCannotDoIsNotTried) {
  ReportPlan plan = plan_of({"one"});
  plan.runs[0].impossible = "no such kernel";
  test::FakeProgram program;
  const json::array runs = test::fake_runs(plan, program);

  EXPECT_TRUE(program.commands.empty());
  EXPECT_EQ(text_at(runs[0], "/state"), "skipped");
  EXPECT_EQ(text_at(runs[0], "/reason"), "no such kernel");
}

TEST(ReportRuns, AnInterruptEndsAll) {
  int count = 0;
  const auto runs = carry_out(
      plan_of({"one", "two"}), {100, 100},
      [&](const auto&, const auto&, double) -> Result<ProgramEnd> {
        ++count;
        return fail(Errc::refused, "interrupted by INT");
      },
      [] { return 0.0; }, [](const std::string&) {});

  EXPECT_FALSE(runs);
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace allium::bench
