// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <boost/json.hpp>

#include "tools/bench/json_lookup.hpp"
#include "tools/bench/report.hpp"
#include "tools/bench/report_figures.hpp"
#include "tools/bench/svg_plot.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr const char* kForwardSchema = "allium.bench.forward/1";
constexpr const char* kCryptoSchema = "allium.bench.crypto/1";

// Measured in 50 ms on a machine that may be busy: two measurements of one counter differ by less than this.
constexpr double kTscPercentMax = 1;

/// What a document says under one key.
struct Entry {
  std::string key;
  Better better = Better::lower;
  std::optional<Compared> value;
  std::string missing;
};

Error no_measurement(const char* which, const std::string& why) {
  return {Errc::malformed, std::string(which) + " " + why};
}

bool is_in_order(const Compared& value) {
  return value.low > 0 && value.low <= value.value && value.value <= value.high;
}

/// The number at `path` with the ends of its range; an end that is not there is the number itself.
Result<Compared> compared_at(const char* which, const json::value& document,
                             const std::string& path, const std::string& low,
                             const std::string& high) {
  const auto value = number_at(document, path);
  if (!value) {
    return tl::unexpected(no_measurement(which, "has no number at " + path));
  }
  const Compared compared = {*value, number_at(document, low).value_or(*value),
                             number_at(document, high).value_or(*value)};
  if (!is_in_order(compared)) {
    return tl::unexpected(
        no_measurement(which, "has no figure at " + path + ": it takes 0 < low <= value <= high"));
  }
  return compared;
}

using Entries = Result<std::vector<Entry>>;

Entries entries_of_report(const char* which, const json::value& report) {
  json::error_code error;
  const auto* figures = report.find_pointer("/figures", error);
  if (figures == nullptr || !figures->is_object() || figures->as_object().empty()) {
    return tl::unexpected(no_measurement(which, "is a report without figures"));
  }
  std::vector<Entry> entries;
  for (const auto& [name, number] : figures->as_object()) {
    Entry entry;
    entry.key = std::string(name);
    const std::string better = text_at(report, "/bars/" + entry.key + "/better");
    if (better != "higher" && better != "lower") {
      return tl::unexpected(no_measurement(
          which, "does not say whether " + entry.key + " is better higher or lower"));
    }
    entry.better = better == "higher" ? Better::higher : Better::lower;
    if (number.is_null()) {
      entry.missing = text_at(report, "/figures_missing/" + entry.key);
    } else {
      const std::string spread = "/figures_spread/" + entry.key;
      auto value =
          compared_at(which, report, "/figures/" + entry.key, spread + "/low", spread + "/high");
      if (!value) {
        return tl::unexpected(value.error());
      }
      entry.value = *value;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

Entries entries_of_forward(const char* which, const json::value& result) {
  if (!is_true_at(result, "/valid")) {
    return tl::unexpected(no_measurement(which, "has no figure: its books do not agree"));
  }
  auto value = compared_at(which, result, "/cycles_per_packet", "/cycles_per_packet_min",
                           "/cycles_per_packet_max");
  if (!value) {
    return tl::unexpected(value.error());
  }
  return std::vector<Entry>{{"cycles_per_packet", Better::lower, *value, ""}};
}

Entries entries_of_crypto(const char* which, const json::value& result) {
  json::error_code error;
  const auto* figures = result.find_pointer("/figures", error);
  if (figures == nullptr || !figures->is_array() || figures->as_array().empty()) {
    return tl::unexpected(no_measurement(which, "has no figures"));
  }
  std::vector<Entry> entries;
  for (const json::value& figure : figures->as_array()) {
    const auto* by_burst = figure.find_pointer("/cycles_per_packet_by_burst", error);
    if (by_burst == nullptr || !by_burst->is_object()) {
      return tl::unexpected(
          no_measurement(which, "has a figure without cycles_per_packet_by_burst"));
    }
    for (const auto& [burst, cycles] : by_burst->as_object()) {
      const std::string size(burst);
      auto value = compared_at(which, figure, "/cycles_per_packet_by_burst/" + size,
                               "/cycles_per_packet_low_by_burst/" + size,
                               "/cycles_per_packet_high_by_burst/" + size);
      if (!value) {
        return tl::unexpected(value.error());
      }
      const std::string packet_class = text_at(figure, "/class");
      entries.push_back({text_at(figure, "/kernel") + " " + text_at(figure, "/function") +
                             (packet_class.empty() ? "" : " " + packet_class) + " x" + size,
                         Better::lower, *value, ""});
    }
  }
  return entries;
}

Entries entries_of(const char* which, const json::value& document) {
  const std::string schema = text_at(document, "/schema");
  if (schema == kReportSchema) {
    return entries_of_report(which, document);
  }
  if (schema == kForwardSchema) {
    return entries_of_forward(which, document);
  }
  if (schema == kCryptoSchema) {
    return entries_of_crypto(which, document);
  }
  return tl::unexpected(no_measurement(
      which, "is no report, and no result of bench forward or bench crypto: its schema is \"" +
                 schema + "\""));
}

std::string value_text(const json::value& document, const std::string& path) {
  json::error_code error;
  const auto* value = document.find_pointer(path, error);
  return value == nullptr ? "?" : json::serialize(*value);
}

/// What has to be one and the same, or the two measure different things.
Result<void> check_same_work(const json::value& a, const json::value& b) {
  if (text_at(a, "/schema") != text_at(b, "/schema")) {
    return fail(Errc::refused, "A is " + text_at(a, "/schema") + " and B is " +
                                   text_at(b, "/schema") + "; compare two of one kind");
  }
  if (text_at(a, "/schema") != kForwardSchema) {
    return {};
  }
  for (const char* key : {"class", "ip", "burst", "backend", "workers", "datagram_bytes",
                          "bad_tag_percent", "udp_checksums"}) {
    const std::string path = std::string("/") + key;
    if (value_text(a, path) != value_text(b, path)) {
      return fail(Errc::refused, std::string("A and B did different work: ") + key + " " +
                                     value_text(a, path) + " and " + value_text(b, path));
    }
  }
  return {};
}

std::vector<std::string> warnings_of(const json::value& a, const json::value& b) {
  std::vector<std::string> warnings;
  for (const char* path :
       {"/environment/cpu", "/environment/cpus", "/environment/virtual", "/environment/kernels",
        "/environment/pages", "/environment/l3_bytes", "/environment/kernel_release",
        "/settings/quick", "/settings/packets", "/settings/kernel_wish", "/loop_bytes", "/sessions",
        "/replay_set_bytes"}) {
    if (value_text(a, path) != value_text(b, path)) {
      warnings.push_back(std::string(path + 1) + " differs: " + value_text(a, path) + " and " +
                         value_text(b, path));
    }
  }
  const auto tsc_a = number_at(a, "/environment/tsc_hz");
  const auto tsc_b = number_at(b, "/environment/tsc_hz");
  if (tsc_a.has_value() != tsc_b.has_value() ||
      (tsc_a && std::abs(*tsc_a - *tsc_b) * 100 > *tsc_a * kTscPercentMax)) {
    warnings.push_back("environment/tsc_hz differs: " + value_text(a, "/environment/tsc_hz") +
                       " and " + value_text(b, "/environment/tsc_hz"));
  }
  return warnings;
}

bool has_range(const Compared& value) {
  return value.low < value.high;
}

Change change_of(const ComparedFigure& figure, double max_regress_percent) {
  const bool is_same = has_range(figure.a) || has_range(figure.b)
                           ? figure.a.low <= figure.b.high && figure.b.low <= figure.a.high
                           : std::abs(figure.gain_percent) <= max_regress_percent;
  if (is_same) {
    return Change::same;
  }
  return figure.gain_percent > 0 ? Change::faster : Change::slower;
}

ComparedFigure compared_figure(const Entry& a, const Entry& b, double max_regress_percent) {
  ComparedFigure figure;
  figure.key = a.key;
  figure.a = *a.value;
  figure.b = *b.value;
  const double more_percent = (figure.b.value / figure.a.value - 1) * 100;
  figure.gain_percent = a.better == Better::higher ? more_percent : -more_percent;
  figure.change = change_of(figure, max_regress_percent);
  figure.is_regress = figure.change == Change::slower && -figure.gain_percent > max_regress_percent;
  return figure;
}

const Entry* find_entry(const std::vector<Entry>& entries, const std::string& key) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::string why_missing(const char* which, const Entry* entry) {
  return std::string(which) + " has none" +
         (entry == nullptr || entry->missing.empty() ? "" : ": " + entry->missing);
}

bool has_value(const Entry* entry) {
  return entry != nullptr && entry->value.has_value();
}

void pair_up(const std::vector<Entry>& a, const std::vector<Entry>& b, double max_regress_percent,
             Comparison& comparison) {
  for (const Entry& entry : a) {
    const Entry* other = find_entry(b, entry.key);
    if (has_value(&entry) && has_value(other)) {
      comparison.figures.push_back(compared_figure(entry, *other, max_regress_percent));
    } else {
      comparison.missing.push_back(
          {entry.key, has_value(&entry) ? why_missing("B", other) : why_missing("A", &entry),
           has_value(&entry)});
    }
  }
  for (const Entry& entry : b) {
    if (find_entry(a, entry.key) == nullptr) {
      comparison.missing.push_back({entry.key, why_missing("A", nullptr), false});
    }
  }
}

json::object value_json(const Compared& value) {
  return {{"value", value.value}, {"low", value.low}, {"high", value.high}};
}

std::string with_range(const Compared& value) {
  const std::string text = short_number(value.value);
  return has_range(value)
             ? text + " (" + short_number(value.low) + " to " + short_number(value.high) + ")"
             : text;
}

}  // namespace

const char* change_name(Change change) {
  switch (change) {
    case Change::faster:
      return "faster";
    case Change::same:
      return "same";
    case Change::slower:
      return "slower";
  }
  return "";
}

Result<Comparison> compare_measurements(const json::value& a, const json::value& b,
                                        double max_regress_percent) {
  const auto entries_a = entries_of("A", a);
  const auto entries_b = entries_of("B", b);
  if (!entries_a || !entries_b) {
    return tl::unexpected(entries_a ? entries_b.error() : entries_a.error());
  }
  if (auto same = check_same_work(a, b); !same) {
    return tl::unexpected(same.error());
  }
  Comparison comparison;
  comparison.schema = text_at(a, "/schema");
  comparison.warnings = warnings_of(a, b);
  pair_up(*entries_a, *entries_b, max_regress_percent, comparison);
  if (comparison.figures.empty()) {
    return fail(Errc::refused, "A and B have no figure in common");
  }
  return comparison;
}

bool is_no_regress(const Comparison& comparison) {
  return std::none_of(comparison.figures.begin(), comparison.figures.end(),
                      [](const ComparedFigure& figure) { return figure.is_regress; }) &&
         std::none_of(comparison.missing.begin(), comparison.missing.end(),
                      [](const MissingFigure& figure) { return figure.is_lost; });
}

json::object comparison_json(const Comparison& comparison, double max_regress_percent) {
  json::array figures;
  for (const ComparedFigure& figure : comparison.figures) {
    figures.push_back(json::object{{"key", figure.key},
                                   {"a", value_json(figure.a)},
                                   {"b", value_json(figure.b)},
                                   {"gain_percent", figure.gain_percent},
                                   {"change", change_name(figure.change)},
                                   {"regress", figure.is_regress}});
  }
  json::array missing;
  for (const MissingFigure& figure : comparison.missing) {
    missing.push_back(
        json::object{{"key", figure.key}, {"reason", figure.reason}, {"lost", figure.is_lost}});
  }
  return {{"schema", "allium.bench.compare/1"},
          {"of", comparison.schema},
          {"max_regress_percent", max_regress_percent},
          {"regress", !is_no_regress(comparison)},
          {"warnings", json::array(comparison.warnings.begin(), comparison.warnings.end())},
          {"figures", std::move(figures)},
          {"missing", std::move(missing)}};
}

std::string comparison_text(const Comparison& comparison) {
  std::string text;
  char line[256];
  std::snprintf(line, sizeof line, "%-34s %-26s %-26s %8s  %s\n", "FIGURE", "A", "B", "GAIN",
                "B IS");
  text += line;
  for (const ComparedFigure& figure : comparison.figures) {
    std::snprintf(line, sizeof line, "%-34s %-26s %-26s %+7.1f%%  %s%s\n", figure.key.c_str(),
                  with_range(figure.a).c_str(), with_range(figure.b).c_str(), figure.gain_percent,
                  change_name(figure.change), figure.is_regress ? ", more than allowed" : "");
    text += line;
  }
  for (const MissingFigure& figure : comparison.missing) {
    text += figure.key + ": not compared, " + figure.reason + "\n";
  }
  return text;
}

}  // namespace allium::bench
