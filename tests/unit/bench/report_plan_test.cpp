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
      EXPECT_EQ(groups.count(group.id), 1U) << group.id;
    }
  }
}

TEST(ReportPlan, WhatFiguresNeedIsInEveryPlanAndComesFirst) {
  for (const bool is_quick : {false, true}) {
    const ReportPlan plan = plan_report({is_quick, 0, 0}, vector_machine());
    for (const char* id :
         {"crypto", "d_over_ipsec_mb", "v_over_ipsec_mb", "path_opens_over_libsodium",
          "burst1_over_burst32", "burst4_over_burst32", "burst8_over_burst32",
          "garbage_cost_over_valid"}) {
      const PlannedRun* run = find(plan, id);
      ASSERT_NE(run, nullptr) << id;
      EXPECT_LT(run - plan.runs.data(), 8) << id;
    }
    EXPECT_NE(find(plan, "cores_d_1"), nullptr);
    EXPECT_NE(find(plan, "cores_d_2"), nullptr);
  }
}

TEST(ReportPlan, FullPlanCoversWhatAReportIsFor) {
  const ReportPlan plan = plan_report({}, vector_machine());
  for (const char* id :
       {"class_d_IPv4", "class_d_IPv6", "class_v_IPv4", "class_v_IPv6", "burst_d_1", "burst_d_32",
        "burst_v_16", "kernel_d_ipsec-mb-sse", "kernel_v_vaes", "setup_libsodium", "setup_ifma",
        "stages_d", "stages_v", "garbage_d_0", "garbage_d_100", "checksum_v_none",
        "checksum_v_computed", "replay_v_1", "replay_v_8"}) {
    EXPECT_NE(find(plan, id), nullptr) << id;
  }
  EXPECT_EQ(find(plan, "kernel_v_vaes")->kernels, "onion=vaes");
  EXPECT_EQ(find(plan, "setup_ifma")->kernels, "x25519=ifma");
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

TEST(ReportPlan, AMachineThatHasNothingToCompareSaysSo) {
  ReportMachine plain = vector_machine();
  plain.onion_kernels = {"ipsec-mb-sse", "ipsec-mb"};
  plain.x25519_kernels = {"libsodium"};
  plain.best_onion = "ipsec-mb";
  plain.best_x25519 = "libsodium";
  plain.cpus = 1;
  const ReportPlan plan = plan_report({}, plain);

  EXPECT_NE(find(plan, "d_over_ipsec_mb")->impossible.find("ipsec-mb"), std::string::npos);
  EXPECT_NE(find(plan, "path_opens_over_libsodium")->impossible.find("libsodium"),
            std::string::npos);
  EXPECT_EQ(find(plan, "cores_d_2"), nullptr);
  EXPECT_TRUE(find(plan, "burst1_over_burst32")->impossible.empty());
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
    if (run.id != "crypto") {
      EXPECT_LE(std::stoul(value_after(run, "--packets")), 256U) << run.id;
      EXPECT_LE(std::stoul(value_after(run, "--sessions")), 256U) << run.id;
      EXPECT_EQ(value_after(run, "--repeats"), "2") << run.id;
    }
  }
}

}  // namespace
}  // namespace allium::bench
