// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_runs.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <boost/json.hpp>

#include "tools/bench/environment.hpp"
#include "tools/bench/json_lookup.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

// The line that says what went wrong, of all that a program said.
std::string last_error_line(const std::string& talk) {
  const std::string mark = "error: ";
  const std::size_t begin = talk.rfind(mark);
  if (begin == std::string::npos) {
    return "";
  }
  const std::size_t end = talk.find('\n', begin);
  return talk.substr(begin + mark.size(), end - begin - mark.size());
}

// What CLI11 says of an option that a build does not know stands before its hint at --help.
std::string last_talk_line(const std::string& talk) {
  std::string last;
  for (std::size_t begin = 0; begin < talk.size();) {
    const std::size_t end = std::min(talk.find('\n', begin), talk.size());
    const std::string line = talk.substr(begin, end - begin);
    if (!line.empty() && line.rfind("Run with --help", 0) != 0) {
      last = line;
    }
    begin = end + 1;
  }
  return last;
}

std::string why_without_result(const ProgramEnd& end) {
  std::string reason = last_error_line(end.talk);
  if (reason.empty()) {
    reason = last_talk_line(end.talk);
  }
  // A JSON text is UTF-8; what a program says when it fails may be anything.
  std::replace_if(
      reason.begin(), reason.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  const std::string code = end.exit_code > 128
                               ? "ended by signal " + std::to_string(end.exit_code - 128)
                               : "exit code " + std::to_string(end.exit_code);
  return reason.empty() ? code : reason + " (" + code + ")";
}

std::string drops_text(const json::object& result) {
  std::string text;
  const auto* drops = result.if_contains("drops");
  if (drops != nullptr && drops->is_object()) {
    for (const auto& [reason, count] : drops->as_object()) {
      text += " " + std::string(reason) + " " + json::serialize(count);
    }
  }
  return text.empty() ? text : "; drops:" + text;
}

void take_result(const ProgramEnd& end, json::object& entry) {
  json::error_code error;
  json::value result = json::parse(end.output, error);
  if (error || !result.is_object() || text_at(result, "/schema").empty()) {
    entry["state"] = "failed";
    entry["reason"] = why_without_result(end);
    return;
  }
  // A result without "valid" has no books, as those of single functions.
  const auto* valid = result.as_object().if_contains("valid");
  const bool is_valid = valid == nullptr || (valid->is_bool() && valid->as_bool());
  if (is_valid && end.exit_code == 0) {
    entry["state"] = "measured";
  } else {
    entry["state"] = "invalid";
    entry["reason"] = is_valid ? why_without_result(end)
                               : "its books do not agree" + drops_text(result.as_object());
  }
  entry["result"] = std::move(result);
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::string overdue_text(double allowed, const RunLimits& limits) {
  return allowed < limits.run_seconds_max
             ? "the time of the report was up (" + seconds_text(limits.report_seconds_max) + ")"
             : "it took longer than " + seconds_text(limits.run_seconds_max);
}

/// A run of a plan, timed.
class RunsOfPlan {
 public:
  RunsOfPlan(const RunLimits& limits, const RunProgram& program,
             const std::function<double()>& seconds_now)
      : limits_(limits), program_(program), seconds_now_(seconds_now), begin_(seconds_now()) {}

  Result<json::object> run(const PlannedRun& planned) {
    json::object entry = {{"id", planned.id},
                          {"group", planned.group},
                          {"series", planned.series},
                          {"labels", json::array(planned.labels.begin(), planned.labels.end())},
                          {"command", command_line(planned)},
                          {"kernels", planned.kernels}};
    const double begin = seconds_now_();
    const double left = begin_ + limits_.report_seconds_max - begin;
    if (!planned.impossible.empty() || left <= 0) {
      entry["state"] = planned.impossible.empty() ? "failed" : "skipped";
      entry["reason"] =
          planned.impossible.empty() ? overdue_text(left, limits_) : planned.impossible;
      return entry;
    }
    const double allowed = std::min(left, limits_.run_seconds_max);
    const MachineTime begin_time = machine_time();
    auto end = program_(planned.words, planned.kernels, allowed);
    if (!end) {
      return tl::unexpected(end.error());
    }
    entry["seconds"] = seconds_now_() - begin;
    entry["exit_code"] = end->exit_code;
    entry["steal_percent"] = steal_percent(begin_time, machine_time());
    if (end->is_overdue) {
      entry["state"] = "failed";
      entry["reason"] = overdue_text(allowed, limits_);
    } else {
      take_result(*end, entry);
    }
    return entry;
  }

 private:
  const RunLimits& limits_;
  const RunProgram& program_;
  const std::function<double()>& seconds_now_;
  double begin_;
};

std::string progress_line(std::size_t number, std::size_t of, const json::object& entry) {
  const json::value run = entry;
  std::string line = "[" + std::to_string(number) + "/" + std::to_string(of) + "] " +
                     text_at(run, "/id") + ": " + text_at(run, "/state");
  if (const std::string reason = text_at(run, "/reason"); !reason.empty()) {
    line += ": " + reason;
  }
  if (const auto cycles = number_at(run, "/result/cycles_per_packet")) {
    char text[48];
    std::snprintf(text, sizeof text, ", %.0f cycles a packet", *cycles);
    line += text;
  }
  if (const auto mpps = number_at(run, "/result/no_drop/mpps")) {
    char text[48];
    std::snprintf(text, sizeof text, ", %.3f Mpps without a drop", *mpps);
    line += text;
  }
  if (const auto seconds = number_at(run, "/seconds")) {
    line += " (" + seconds_text(*seconds) + ")";
  }
  return line;
}

}  // namespace

std::string command_line(const PlannedRun& run) {
  std::string text = run.kernels.empty() ? "allium" : "ALLIUM_KERNEL=" + run.kernels + " allium";
  for (const std::string& word : run.words) {
    text += " " + word;
  }
  return text;
}

Result<json::array> carry_out(const ReportPlan& plan, const RunLimits& limits,
                              const RunProgram& program, const std::function<double()>& seconds_now,
                              const std::function<void(const std::string&)>& progress) {
  RunsOfPlan runs(limits, program, seconds_now);
  json::array entries;
  for (const PlannedRun& planned : plan.runs) {
    auto entry = runs.run(planned);
    if (!entry) {
      return tl::unexpected(entry.error());
    }
    progress(progress_line(entries.size() + 1, plan.runs.size(), *entry));
    entries.push_back(std::move(*entry));
  }
  return entries;
}

}  // namespace allium::bench
