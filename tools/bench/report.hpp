// SPDX-License-Identifier: Apache-2.0
#pragma once

// report.json, schema allium.bench.report/1: the figures with their bars, where and how they were measured, and every
// result that they come from.
//
//   Threads    reentrant.

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tools/bench/report_plan.hpp"

namespace allium::bench {

inline constexpr const char* kReportSchema = "allium.bench.report/1";

/// What a report says of itself besides its runs.
struct ReportFacts {
  std::string version;    ///< of the program
  std::string begun_utc;  ///< RFC 3339
  double seconds = 0;
  ReportSize size;
  double seconds_max = 0;
  std::string kernel_wish;          ///< ALLIUM_KERNEL of the whole report
  boost::json::object environment;  ///< as of bench::environment(), with "steal_percent"
};

/// `runs` are those that carry_out made of `plan`.
[[nodiscard]] boost::json::object make_report(const ReportPlan& plan, const ReportMachine& machine,
                                              boost::json::array runs, ReportFacts facts);

/// Every figure is there, and no run failed or was invalid.
[[nodiscard]] bool is_complete(const boost::json::object& report);

/// The figures against their bars, for a terminal.
[[nodiscard]] std::string report_text(const boost::json::object& report);

}  // namespace allium::bench
