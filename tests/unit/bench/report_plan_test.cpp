// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_plan.hpp"

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/bench/report_test_data.hpp"
#include "tools/bench/report_figures.hpp"

namespace allium::bench {
namespace {

using test::vector_machine;

const PlannedRun* find(const ReportPlan& plan, const std::string& id) {
  const auto found = std::find_if(plan.runs.begin(), plan.runs.end(),
                                  [&](const PlannedRun& run) { return run.id == id; });
  return found == plan.runs.end() ? nullptr : &*found;
}

std::string value_after(const PlannedRun& run, const std::string& option) {
  const auto found = std::find(run.words.begin(), run.words.end(), option);
  return found == run.words.end() ? "" : *(found + 1);
}

TEST(ReportPlan, NoTwoRunsHaveOneNameAndEveryGroupHasRuns) {
  for (const bool is_quick : {false, true}) {
    const ReportPlan plan = plan_report({is_quick, 0, 0}, vector_machine());
    std::set<std::string> ids;
    std::set<std::string> groups;
    for (const PlannedRun& run : plan.runs) {
      EXPECT_TRUE(ids.insert(run.id).second) << run.id;
      groups.insert(run.group);
    }
    for (const ReportGroup& group : plan.groups) {
      EXPECT_EQ(groups.count(group.source), 1U) << group.id;
    }
  }
}

TEST(ReportPlan, WhatFiguresNeedIsInEveryPlanAndComesFirst) {
  for (const bool is_quick : {false, true}) {
    const ReportPlan plan = plan_report({is_quick, 0, 0}, vector_machine());
    for (const char* id :
         {"crypto", "kernel_d", "kernel_v", "setup_s", "burst_d", "garbage_d", "cores_d"}) {
      const PlannedRun* run = find(plan, id);
      ASSERT_NE(run, nullptr) << id;
      EXPECT_LT(run - plan.runs.data(), 7) << id;
    }
  }
}

TEST(ReportPlan, WhatIsComparedTakesTurnsInOneRun) {
  const ReportPlan plan = plan_report({}, vector_machine());
  EXPECT_EQ(find(plan, "kernel_d")->labels,
            (std::vector<std::string>{"vaes", "ipsec-mb-sse", "ipsec-mb"}));
  EXPECT_EQ(find(plan, "setup_s")->labels, (std::vector<std::string>{"ifma", "libsodium"}));
  EXPECT_EQ(find(plan, "burst_v")->labels,
            (std::vector<std::string>{"32", "16", "8", "4", "2", "1"}));
  EXPECT_EQ(find(plan, "cores_d")->labels, (std::vector<std::string>{"1", "2"}));
  for (const PlannedRun& run : plan.runs) {
    const auto contenders = std::count_if(run.words.begin(), run.words.end(), [](const auto& word) {
      return word.rfind("--compare-", 0) == 0;
    });
    EXPECT_EQ(run.labels.empty() ? 0 : static_cast<long>(run.labels.size()) - 1, contenders)
        << run.id;
  }
}

TEST(ReportPlan, RatesTakeASecondCore) {
  ReportMachine machine = vector_machine();
  for (const std::size_t cpus : {1U, 2U}) {
    machine.cpus = cpus;
    const ReportPlan plan = plan_report({}, machine);
    for (const char* id : {"no_drop_d", "no_drop_v"}) {
      ASSERT_NE(find(plan, id), nullptr);
      EXPECT_EQ(find(plan, id)->impossible.empty(), cpus > 1) << id;
    }
  }
}

TEST(ReportPlan, LoopsAreWholeBurstsOfAllWorkers) {
  ReportMachine machine = vector_machine();
  machine.cpus = 6;
  const ReportPlan plan = plan_report({false, 256, 1}, machine);
  const PlannedRun& run = *find(plan, "cores_d");
  EXPECT_EQ(run.labels, (std::vector<std::string>{"1", "2", "4", "6"}));
  const std::size_t packets = std::stoul(value_after(run, "--packets"));
  for (const std::size_t workers : {1U, 2U, 4U, 6U}) {
    EXPECT_EQ(packets % (32 * workers), 0U) << workers;
  }
}

TEST(ReportPlan, FullPlanCoversWhatAReportIsFor) {
  const ReportPlan plan = plan_report({}, vector_machine());
  for (const char* id : {"class_d_IPv4", "class_d_IPv6", "class_v_IPv4", "class_v_IPv6", "burst_d",
                         "burst_v", "kernel_d", "kernel_v", "setup_s", "stages_d", "stages_v",
                         "garbage_d", "cores_v", "replay_v_1", "replay_v_8"}) {
    EXPECT_NE(find(plan, id), nullptr) << id;
  }
}

TEST(ReportPlan, WorkingSetsGoFromTheFirstCacheToBeyondTheLast) {
  const ReportPlan plan = plan_report({}, vector_machine());
  std::size_t smallest = SIZE_MAX;
  std::size_t largest = 0;
  for (const PlannedRun& run : plan.runs) {
    if (run.group == "working_set" && run.series == "class D") {
      const std::size_t bytes = std::stoul(value_after(run, "--packets")) * 1232;
      smallest = std::min(smallest, bytes);
      largest = std::max(largest, bytes);
    }
  }
  EXPECT_LT(smallest, 48'000U);
  EXPECT_GT(largest, vector_machine().l3_bytes);
}

TEST(ReportPlan, AMachineThatHasNothingToCompareStillMeasures) {
  ReportMachine plain = vector_machine();
  plain.onion_kernels = {"ipsec-mb-sse", "ipsec-mb"};
  plain.x25519_kernels = {"libsodium"};
  plain.best_onion = "ipsec-mb";
  plain.best_x25519 = "libsodium";
  plain.cpus = 1;
  const ReportPlan plan = plan_report({}, plain);

  EXPECT_EQ(find(plan, "kernel_d")->labels, (std::vector<std::string>{"ipsec-mb", "ipsec-mb-sse"}));
  EXPECT_EQ(find(plan, "setup_s")->labels, (std::vector<std::string>{"libsodium"}));
  EXPECT_EQ(find(plan, "cores_d")->labels, (std::vector<std::string>{"1"}));
}

TEST(ReportPlan, LoopsThatDoNotFitAreSkippedAndNotShrunk) {
  ReportMachine small = vector_machine();
  small.available_memory_bytes = 200'000'000;
  small.l3_bytes = 400'000'000;
  const ReportPlan plan = plan_report({}, small);
  const auto has_reason = [&](const char* word) {
    return std::any_of(plan.runs.begin(), plan.runs.end(), [&](const PlannedRun& run) {
      return run.group == "working_set" && run.impossible.find(word) != std::string::npos;
    });
  };
  EXPECT_TRUE(has_reason("memory"));
  EXPECT_TRUE(has_reason("a loop may have"));
}

TEST(ReportPlan, SizesThatSomebodyAskedForReachEveryRun) {
  const ReportPlan plan = plan_report({true, 256, 2}, vector_machine());
  for (const PlannedRun& run : plan.runs) {
    if (run.group == "no_drop") {
      // Its loop has to be longer than its ring; what is short there is the trial.
      EXPECT_EQ(value_after(run, "--packets"), "4096");
      EXPECT_EQ(value_after(run, "--trial-seconds"), "0.1");
    } else if (run.id != "crypto") {
      EXPECT_LE(std::stoul(value_after(run, "--packets")), 256U) << run.id;
      EXPECT_LE(std::stoul(value_after(run, "--sessions")), 256U) << run.id;
      EXPECT_EQ(value_after(run, "--repeats"), "2") << run.id;
    }
  }
}

}  // namespace
}  // namespace allium::bench
