// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_plots.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "tools/bench/json_lookup.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr const char* kCycles = "cycles_per_packet";
constexpr const char* kMpps = "mpps";
constexpr const char* kStages = "stages";
constexpr const char* kNoDrop = "no_drop";

const json::array& runs_of(const json::object& report) {
  return report.at("runs").as_array();
}

std::size_t index_of(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found != names.end()) {
    return static_cast<std::size_t>(found - names.begin());
  }
  names.push_back(name);
  return names.size() - 1;
}

PlotSeries& series_of(Plot& plot, const std::string& name) {
  const auto found = std::find_if(plot.series.begin(), plot.series.end(),
                                  [&](const PlotSeries& series) { return series.name == name; });
  if (found != plot.series.end()) {
    return *found;
  }
  plot.series.push_back({name, {}, false});
  return plot.series.back();
}

void put(Plot& plot, const std::string& series, const std::string& label, const PlotValue& value) {
  const std::size_t index = index_of(plot.labels, label);
  auto& values = series_of(plot, series).values;
  values.resize(std::max(values.size(), index + 1));
  values[index] = value;
}

bool is_number(const std::string& text) {
  char* end = nullptr;
  static_cast<void>(std::strtod(text.c_str(), &end));
  return !text.empty() && *end == '\0';
}

/// A place for every label in every series, and numbers in their order: the first relay of a run may be any of them.
void put_in_order(Plot& plot) {
  std::vector<std::size_t> order(plot.labels.size());
  std::iota(order.begin(), order.end(), 0);
  if (std::all_of(plot.labels.begin(), plot.labels.end(), is_number)) {
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::stod(plot.labels[a]) < std::stod(plot.labels[b]);
    });
  }
  const Plot before = plot;
  for (PlotSeries& series : plot.series) {
    series.values.resize(plot.labels.size());
  }
  for (std::size_t to = 0; to < order.size(); ++to) {
    plot.labels[to] = before.labels[order[to]];
    for (std::size_t i = 0; i < plot.series.size(); ++i) {
      const auto& values = before.series[i].values;
      plot.series[i].values[to] = order[to] < values.size() ? values[order[to]] : std::nullopt;
    }
  }
}

/// Where a run has its n-th relay: the first, then its contenders.
std::string place_of(std::size_t n) {
  return n == 0 ? "/result" : "/result/contenders/" + std::to_string(n - 1);
}

/// Cycles of the n-th relay of a run, less `off`.
std::optional<PlotValue> cycles_of(const json::value& run, std::size_t n, double off = 0) {
  const auto cycles = number_at(run, place_of(n) + "/cycles_per_packet");
  const auto low = number_at(run, place_of(n) + "/cycles_per_packet_min");
  const auto high = number_at(run, place_of(n) + "/cycles_per_packet_max");
  if (!cycles || !low || !high || *low <= off) {
    return std::nullopt;
  }
  return PlotValue{*cycles - off, *low - off, *high - off};
}

std::optional<PlotValue> value_of(const json::value& run, std::size_t n, const std::string& y_key) {
  const auto cycles = cycles_of(run, n);
  const auto tsc_hz = number_at(run, "/result/environment/tsc_hz");
  if (y_key == kCycles || !cycles || !tsc_hz) {
    return cycles;
  }
  if (y_key != kMpps) {
    const auto value = number_at(run, "/result/" + y_key);
    return value && n == 0 ? std::optional(PlotValue{*value, *value, *value}) : std::nullopt;
  }
  const double mhz = *tsc_hz / 1e6;
  return PlotValue{mhz / cycles->value, mhz / cycles->high, mhz / cycles->low};
}

const char* y_title_of(const std::string& y_key) {
  return y_key == kMpps ? "Mpps" : "TSC cycles a packet";
}

ReportPlot plot_of_group(const json::value& group, const json::array& runs) {
  const std::string source = text_at(group, "/source");
  const std::string y_key = text_at(group, "/y_key");
  ReportPlot made;
  made.is_bars = text_at(group, "/kind") == "bars";
  made.note = text_at(group, "/note");
  made.plot = {text_at(group, "/title"), text_at(group, "/axis"), y_title_of(y_key), {}, {}};
  Plot without_io;
  for (const json::value& run : runs) {
    if (text_at(run, "/group") != source || text_at(run, "/state") != "measured") {
      continue;
    }
    const std::string series = text_at(run, "/series");
    const json::array& labels = run.at("labels").as_array();
    for (std::size_t n = 0; n < labels.size(); ++n) {
      const std::string label(labels[n].as_string());
      if (const auto value = value_of(run, n, y_key)) {
        put(made.plot, series, label, *value);
      }
      const auto io = number_at(run, "/result/io_cycles_per_packet");
      if (const auto value = cycles_of(run, n, io.value_or(0)); value && io && y_key == kCycles) {
        put(without_io, series + ", without the devices' copies", label, *value);
      }
    }
  }
  // The same labels in the same order: both took them from the same runs.
  if (without_io.labels == made.plot.labels) {
    for (PlotSeries& series : without_io.series) {
      series.is_faint = true;
      made.plot.series.push_back(std::move(series));
    }
  }
  put_in_order(made.plot);
  return made;
}

ReportPlot plot_of_stages(const json::value& group, const json::array& runs) {
  ReportPlot made;
  made.is_bars = true;
  made.note = text_at(group, "/note");
  made.plot = {text_at(group, "/title"), text_at(group, "/axis"), y_title_of(kCycles), {}, {}};
  for (const json::value& run : runs) {
    json::error_code error;
    const auto* stages = run.find_pointer("/result/stages", error);
    if (text_at(run, "/group") != kStages || text_at(run, "/state") != "measured" ||
        stages == nullptr || !stages->is_object()) {
      continue;
    }
    for (const auto& [name, cycles] : stages->as_object()) {
      if (cycles.is_number()) {
        const double value = cycles.to_number<double>();
        put(made.plot, text_at(run, "/series"), std::string(name), {value, value, value});
      }
    }
  }
  put_in_order(made.plot);
  return made;
}

ReportPlot plot_of_no_drop(const json::value& group, const json::array& runs) {
  ReportPlot made;
  made.is_bars = true;
  made.note = text_at(group, "/note");
  made.plot = {text_at(group, "/title"), text_at(group, "/axis"), y_title_of(kMpps), {}, {}};
  for (const json::value& run : runs) {
    if (text_at(run, "/group") != kNoDrop || text_at(run, "/state") != "measured") {
      continue;
    }
    for (const auto& [label, place] : {std::pair("none", "/result/no_drop/mpps"),
                                       {"0.5 %", "/result/partial_drop/mpps"},
                                       {"flooded", "/result/flooded/mpps"}}) {
      if (const auto mpps = number_at(run, place)) {
        put(made.plot, text_at(run, "/series"), label, {*mpps, *mpps, *mpps});
      }
    }
  }
  put_in_order(made.plot);
  return made;
}

struct CryptoPlot {
  const char* title;
  const char* packet_class;
  std::vector<std::string> functions;
};

// Of one function by burst size, a series each kernel that has it.
ReportPlot plot_of_crypto(const CryptoPlot& wanted, const json::array& figures) {
  ReportPlot made;
  made.plot = {wanted.title, "burst", "TSC cycles a packet", {}, {}};
  for (const json::value& figure : figures) {
    const std::string function = text_at(figure, "/function");
    json::error_code error;
    const auto* by_burst = figure.find_pointer("/cycles_per_packet_by_burst", error);
    if (text_at(figure, "/class") != wanted.packet_class || by_burst == nullptr ||
        !by_burst->is_object() ||
        std::find(wanted.functions.begin(), wanted.functions.end(), function) ==
            wanted.functions.end()) {
      continue;
    }
    for (const auto& [burst, cycles] : by_burst->as_object()) {
      if (cycles.is_number()) {
        const std::string size(burst);
        const double value = cycles.to_number<double>();
        put(made.plot,
            text_at(figure, "/kernel") + (wanted.functions.size() > 1 ? " " + function : ""), size,
            {value, number_at(figure, "/cycles_per_packet_low_by_burst/" + size).value_or(value),
             number_at(figure, "/cycles_per_packet_high_by_burst/" + size).value_or(value)});
      }
    }
  }
  put_in_order(made.plot);
  return made;
}

void add_crypto_plots(const json::array& runs, std::vector<ReportPlot>& plots) {
  for (const json::value& run : runs) {
    json::error_code error;
    const auto* figures = run.find_pointer("/result/figures", error);
    if (text_at(run, "/id") != "crypto" || text_at(run, "/state") != "measured" ||
        figures == nullptr || !figures->is_array()) {
      continue;
    }
    for (const CryptoPlot& wanted :
         {CryptoPlot{"A hop's cryptography alone, class D, packets beyond a core's caches",
                     "d",
                     {"chain_l3", "floor_l3"}},
          CryptoPlot{"A hop's cryptography alone, class V, packets beyond a core's caches",
                     "v",
                     {"chain_l3", "floor_l3"}},
          CryptoPlot{"X25519", "", {"x25519"}}}) {
      plots.push_back(plot_of_crypto(wanted, figures->as_array()));
    }
  }
}

}  // namespace

std::vector<ReportPlot> plots_of(const json::object& report) {
  std::vector<ReportPlot> plots;
  for (const json::value& group : report.at("groups").as_array()) {
    const std::string id = text_at(group, "/id");
    plots.push_back(id == kStages   ? plot_of_stages(group, runs_of(report))
                    : id == kNoDrop ? plot_of_no_drop(group, runs_of(report))
                                    : plot_of_group(group, runs_of(report)));
  }
  add_crypto_plots(runs_of(report), plots);
  plots.erase(std::remove_if(plots.begin(), plots.end(),
                             [](const ReportPlot& made) { return made.plot.labels.empty(); }),
              plots.end());
  return plots;
}

}  // namespace allium::bench
