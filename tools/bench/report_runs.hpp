// SPDX-License-Identifier: Apache-2.0
#pragma once

// Carries a plan out. A run that fails is an entry with its reason; the rest goes on.
//
//   Units      seconds.
//   Errors     Errc::refused where somebody interrupts.
//   Threads    one.

#include <functional>
#include <string>
#include <vector>

#include <boost/json/array.hpp>

#include "crypto_accel/base/result.hpp"
#include "tools/bench/report_plan.hpp"

namespace allium::bench {

/// What a program left behind.
struct ProgramEnd {
  int exit_code = 0;        ///< 128 + the signal that ended it
  bool is_overdue = false;  ///< it was ended for the time that it took
  std::string output;       ///< its standard output
  std::string talk;         ///< its standard error
};

/// Runs `allium` with these words and this ALLIUM_KERNEL (empty: as it is) for so long at most.
using RunProgram = std::function<Result<ProgramEnd>(
    const std::vector<std::string>& words, const std::string& kernels, double seconds_max)>;

struct RunLimits {
  double report_seconds_max = 0;  ///< all runs
  double run_seconds_max = 0;     ///< one of them
};

/// One object a run: "id", "group", "series", "labels", "command", "kernels", "state", "reason", "seconds",
/// "exit_code", "steal_percent", "result". "state" is "measured"; "invalid" where a measurement itself says that its
/// books do not agree; "failed" where there is none, and "skipped" where this machine cannot do it: "reason" says why.
/// `seconds_now` is a clock that never goes back. `progress` hears a line a run.
[[nodiscard]] Result<boost::json::array> carry_out(
    const ReportPlan& plan, const RunLimits& limits, const RunProgram& program,
    const std::function<double()>& seconds_now,
    const std::function<void(const std::string&)>& progress);

/// The words as somebody would type them, the kernels before them.
[[nodiscard]] std::string command_line(const PlannedRun& run);

}  // namespace allium::bench
