// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <boost/json.hpp>

#include "tools/bench/environment.hpp"
#include "tools/bench/json_lookup.hpp"
#include "tools/bench/report_figures.hpp"
#include "tools/bench/svg_plot.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr const char* kMethod[] = {
    "Each run is a command of its own, shown with its result; a figure over something has both "
    "sides in one run, taking "
    "turns, and is the median of the ratios of its repeats.",
    "Runs of `bench forward` push valid packets, made ahead, of many sessions through one whole "
    "relay, under a new replay key "
    "in every pass. No figure unless packets received, forwarded, counted by the sink and written "
    "to the replay set "
    "are one number and a second relay accepts what came out.",
    "Cycles are those of the time stamp counter: the median of short slices, and of "
    "these the median of the "
    "repeats. The range is that of the repeats, of a quotient the worst that the ranges of its "
    "parts allow.",
    "`devices alone` is the same loop without a relay, in the same run: copies of the file device, "
    "which a NIC does not make. "
    "`without devices` has them taken off.",
    "The ipsec-mb arrangement is the same relay with key expansion and every step by the API of "
    "ipsec-mb. The floor is "
    "ipsec-mb's CTR burst and GHASH with ready keys over the same payload.",
    "Gbit/s are those of UDP payload.",
};

constexpr const char* kNotMeasured[] = {
    "A NIC. Packets come from a file in memory and go to a device that drops them, or through "
    "rings between cores.",
    "Latency, and the highest rate without loss (RFC 2544): nothing here generates packets on "
    "another machine.",
    "Real cores of a virtual machine: two of its CPUs may be two threads of one core, and its host "
    "takes time that only `steal` "
    "shows.",
    "Speed of the core: the counter's pace is constant, the core's clock is not, so cycles of one "
    "report stand beside "
    "those of the same machine alone.",
};

template <std::size_t count>
json::array texts(const char* const (&list)[count]) {
  return json::array(std::begin(list), std::end(list));
}

/// Pages and kernels are what the relay's runs found; without any of them nobody knows.
void complete_environment(const ReportMachine& machine, const json::array& runs,
                          json::object& environment) {
  environment["kernels"] = "onion=" + machine.best_onion + ",x25519=" + machine.best_x25519;
  for (const json::value& run : runs) {
    if (const std::string pages = text_at(run, "/result/environment/pages"); !pages.empty()) {
      environment["pages"] = pages;
      break;
    }
  }
  mark_comparative(environment);
}

json::array groups_of(const ReportPlan& plan) {
  json::array groups;
  for (const ReportGroup& group : plan.groups) {
    groups.push_back(json::object{{"id", group.id},
                                  {"source", group.source},
                                  {"title", group.title},
                                  {"axis", group.axis},
                                  {"y_key", group.y_key},
                                  {"kind", group.kind == PlotKind::bars ? "bars" : "lines"},
                                  {"note", group.note}});
  }
  return groups;
}

std::string padded(const std::string& text, int width) {
  char buffer[160];
  std::snprintf(buffer, sizeof buffer, "%*s", width, text.c_str());
  return buffer;
}

std::string number_or(const std::optional<double>& number, const char* otherwise) {
  return number ? short_number(*number) : otherwise;
}

const char* verdict(const json::value& report, const std::string& key) {
  if (is_true_at(report, "/bars/" + key + "/meets_aim")) {
    return "reaches the aim";
  }
  if (is_true_at(report, "/bars/" + key + "/meets_bar")) {
    return "meets the bar";
  }
  return number_at(report, "/bars/" + key + "/bar") ? "misses the bar" : "no bar";
}

std::string figure_line(const json::value& report, const std::string& key) {
  const auto value = number_at(report, "/figures/" + key);
  std::string line = padded(key, -26);
  if (!value) {
    return line + "  not measured: " + text_at(report, "/figures_missing/" + key) + "\n";
  }
  const std::string range = number_or(number_at(report, "/figures_spread/" + key + "/low"), "") +
                            " to " +
                            number_or(number_at(report, "/figures_spread/" + key + "/high"), "");
  return line + padded(short_number(*value), 8) + padded(range, 18) +
         padded(number_or(number_at(report, "/bars/" + key + "/bar"), "-"), 7) +
         padded(number_or(number_at(report, "/bars/" + key + "/aim"), "-"), 7) + "  " +
         verdict(report, key) + "\n";
}

}  // namespace

json::object make_report(const ReportPlan& plan, const ReportMachine& machine, json::array runs,
                         ReportFacts facts) {
  complete_environment(machine, runs, facts.environment);
  json::object report = {{"schema", kReportSchema},
                         {"version", facts.version},
                         {"begun_utc", facts.begun_utc},
                         {"seconds", facts.seconds},
                         {"settings",
                          {{"quick", facts.size.quick},
                           {"packets", facts.size.packets},
                           {"repeats", facts.size.repeats},
                           {"seconds_max", facts.seconds_max},
                           {"kernel_wish", facts.kernel_wish}}},
                         {"environment", std::move(facts.environment)}};
  put_figures(figures_of(runs, machine.best_onion, machine.best_x25519), report);
  report["method"] = texts(kMethod);
  report["not_measured"] = texts(kNotMeasured);
  report["groups"] = groups_of(plan);
  report["runs"] = std::move(runs);
  return report;
}

bool is_complete(const json::object& report) {
  const json::array& runs = report.at("runs").as_array();
  return report.at("figures_missing").as_object().empty() &&
         std::none_of(runs.begin(), runs.end(), [](const json::value& run) {
           const std::string state = text_at(run, "/state");
           return state != "measured" && state != "skipped";
         });
}

std::string report_text(const json::object& report_object) {
  const json::value report = report_object;
  std::string text = padded("FIGURE", -26) + padded("MEASURED", 8) + padded("RANGE", 18) +
                     padded("BAR", 7) + padded("AIM", 7) + "\n";
  for (const auto& [key, value] : report_object.at("figures").as_object()) {
    text += figure_line(report, std::string(key));
  }
  for (const json::value& run : report_object.at("runs").as_array()) {
    const std::string state = text_at(run, "/state");
    if (state != "measured") {
      text += state + ": " + text_at(run, "/id") + ": " + text_at(run, "/reason") + "\n";
    }
  }
  return text;
}

}  // namespace allium::bench
