// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <boost/json.hpp>

#include "tools/bench/json_lookup.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr FigureKind kKinds[] = {
    {"d_over_ipsec_mb", "class D, packets/s of a whole relay over the ipsec-mb arrangement", "x",
     Better::higher, 3.0, 3.7, false},
    {"v_over_ipsec_mb", "class V, the same", "x", Better::higher, 4.5, 6.0, false},
    {"d_crypto_over_floor",
     "class D, a hop's cryptography over the floor: CTR and GHASH of ipsec-mb with ready keys", "x",
     Better::lower, 2.0, 1.6, false},
    {"d_gbit_per_core", "class D, UDP payload, receive and transmit included", "Gbit/s",
     Better::higher, 30.0, 40.0, true},
    {"v_mpps_per_core", "class V, packets, receive and transmit included", "Mpps", Better::higher,
     5.5, 7.5, true},
    {"x25519_over_libsodium", "X25519 in batches of 32 over libsodium", "x", Better::higher, 6.5,
     7.5, false},
    {"path_opens_over_libsodium", "set-up packets/s through a relay in the middle over libsodium",
     "x", Better::higher, 5.0, 6.0, false},
    {"burst1_over_burst32", "class D, cost of a packet in bursts of 1 over 32", "x", Better::lower,
     4.0, std::nullopt, false},
    {"burst4_over_burst32", "class D, cost of a packet in bursts of 4 over 32", "x", Better::lower,
     1.6, std::nullopt, false},
    {"burst8_over_burst32", "class D, cost of a packet in bursts of 8 over 32", "x", Better::lower,
     1.25, std::nullopt, false},
    {"garbage_cost_over_valid", "class D, cost of a packet with a bad link tag over a valid one",
     "x", Better::lower, 0.35, 0.28, false},
    {"two_cores_over_one", "class D, packets/s of two cores over one, rings", "x", Better::higher,
     std::nullopt, 1.95, false},
};

/// A figure that is the ratio of a contender to the first relay of a run.
struct Contest {
  const char* figure;
  const char* run;
  const char* label;    ///< of the contender
  const char* without;  ///< what it means that there is no such contender
  bool is_inverse;      ///< cycles of a contender over the first's are wanted the other way round
};

constexpr const char* kPlainX25519 = "this CPU runs no X25519 but libsodium's";
constexpr const char* kPlainKernel =
    "the best kernel of this CPU is itself made of calls of ipsec-mb";
constexpr const char* kNoSuchContender = "its run compares nothing with it";

constexpr Contest kContests[] = {
    {"d_over_ipsec_mb", "kernel_d", "ipsec-mb", kPlainKernel, false},
    {"v_over_ipsec_mb", "kernel_v", "ipsec-mb", kPlainKernel, false},
    {"path_opens_over_libsodium", "setup_s", "libsodium", kPlainX25519, false},
    {"burst1_over_burst32", "burst_d", "1", kNoSuchContender, false},
    {"burst4_over_burst32", "burst_d", "4", kNoSuchContender, false},
    {"burst8_over_burst32", "burst_d", "8", kNoSuchContender, false},
    {"garbage_cost_over_valid", "garbage_d", "100", kNoSuchContender, false},
    {"two_cores_over_one", "cores_d", "2", "this machine has one core", true},
};

struct Range {
  double value = 0;
  double low = 0;
  double high = 0;
};

/// a / b; the ends are the worst that both ranges allow.
Range operator/(const Range& a, const Range& b) {
  return {a.value / b.value, a.low / b.high, a.high / b.low};
}

/// What the results of the runs say, or why they say nothing.
class Evidence {
 public:
  explicit Evidence(const json::array& runs) : runs_(runs) {}

  Figure figure(const FigureKind& kind, const std::string& best_onion,
                const std::string& best_x25519) const {
    const std::string key = kind.key;
    if (key == "d_gbit_per_core") {
      return rate(kind, "kernel_d", "/result/gbit_s");
    }
    if (key == "v_mpps_per_core") {
      return rate(kind, "kernel_v", "/result/mpps");
    }
    if (key == "d_crypto_over_floor") {
      return over_yardstick(kind, {best_onion, "chain_l3", "d", "ipsec-mb floor_l3"}, false);
    }
    if (key == "x25519_over_libsodium") {
      return best_x25519 == "libsodium"
                 ? missing(kind, kPlainX25519)
                 : over_yardstick(kind, {best_x25519, "x25519", "", "libsodium x25519"}, true);
    }
    for (const Contest& contest : kContests) {
      if (key == contest.figure) {
        return contended(kind, contest);
      }
    }
    return missing(kind, "nobody knows how to measure it");
  }

 private:
  struct CryptoRow {
    std::string kernel;
    std::string function;
    std::string packet_class;
    std::string yardstick;
  };

  static Figure missing(const FigureKind& kind, std::string reason) {
    Figure figure;
    figure.kind = &kind;
    figure.missing = std::move(reason);
    return figure;
  }

  const json::value* run(const std::string& id) const {
    const auto found = std::find_if(runs_.begin(), runs_.end(), [&](const json::value& entry) {
      return text_at(entry, "/id") == id;
    });
    return found == runs_.end() ? nullptr : &*found;
  }

  /// Why the run gives no figure; empty: it does.
  std::string problem_of(const std::string& id) const {
    const json::value* entry = run(id);
    if (entry == nullptr) {
      return id + ": there is no such run";
    }
    if (text_at(*entry, "/state") != "measured") {
      return id + " was " + text_at(*entry, "/state") + ": " + text_at(*entry, "/reason");
    }
    return "";
  }

  void add_conditions(Figure& figure, const std::string& id) const {
    const json::value& entry = *run(id);
    figure.from.push_back(id);
    const std::pair<const char*, const char*> places[] = {
        {"loop_bytes", "/result/loop_bytes"},
        {"tsc_hz", "/result/environment/tsc_hz"},
        {"steal_percent", "/result/environment/steal_percent"},
        {"steal_percent", "/steal_percent"},
    };
    for (const auto& [name, path] : places) {
      if (const auto value = number_at(entry, path); value && !figure.conditions.contains(name)) {
        figure.conditions[name] = *value;
      }
    }
    if (const std::string kernels = text_at(entry, "/result/environment/kernels");
        !kernels.empty()) {
      figure.conditions["kernels"] = kernels;
    }
  }

  Figure figure_of(const FigureKind& kind, const Range& range,
                   const std::vector<std::string>& ids) const {
    if (!std::isfinite(range.value) || !std::isfinite(range.low) || !std::isfinite(range.high) ||
        range.value <= 0) {
      return missing(kind, ids.front() + " says nothing that can be divided");
    }
    Figure figure;
    figure.kind = &kind;
    figure.value = range.value;
    // A quotient of what was multiplied before may be a last digit off.
    figure.low = std::min(range.low, range.value);
    figure.high = std::max(range.high, range.value);
    for (const std::string& id : ids) {
      add_conditions(figure, id);
    }
    return figure;
  }

  /// The contender with this label: its place behind the first relay, 0 where there is none.
  static std::size_t place_of(const json::value& entry, const std::string& label) {
    const json::array& labels = entry.at("labels").as_array();
    const auto* const found =
        std::find_if(labels.begin(), labels.end(),
                     [&](const json::value& each) { return each.as_string() == label; });
    return found == labels.end() ? 0 : static_cast<std::size_t>(found - labels.begin());
  }

  /// The ratio of two relays that took turns in one run.
  Figure contended(const FigureKind& kind, const Contest& contest) const {
    const std::string id = contest.run;
    const json::value* entry = run(id);
    const std::size_t place = entry == nullptr ? 0 : place_of(*entry, contest.label);
    if (entry != nullptr && place == 0) {
      return missing(kind, contest.without);
    }
    if (const std::string problem = problem_of(id); !problem.empty()) {
      return missing(kind, problem);
    }
    const std::string contender = "/result/contenders/" + std::to_string(place - 1);
    const auto ratio = number_at(*entry, contender + "/ratio");
    const auto low = number_at(*entry, contender + "/ratio_min");
    const auto high = number_at(*entry, contender + "/ratio_max");
    if (!ratio || !low || !high) {
      return missing(kind, id + " has no ratio of " + contest.label);
    }
    const Range range = {*ratio, *low, *high};
    return figure_of(kind, contest.is_inverse ? Range{1, 1, 1} / range : range, {id});
  }

  /// A rate, and the range that the cycles of its repeats make of it.
  std::optional<Range> rate_of(const json::value& entry, const char* path) const {
    const auto rate = number_at(entry, path);
    const auto cycles = number_at(entry, "/result/cycles_per_packet");
    const auto low = number_at(entry, "/result/cycles_per_packet_min");
    const auto high = number_at(entry, "/result/cycles_per_packet_max");
    if (!rate || !cycles || !low || !high) {
      return std::nullopt;
    }
    return Range{*rate, *rate * *cycles / *high, *rate * *cycles / *low};
  }

  Figure rate(const FigureKind& kind, const std::string& id, const char* path) const {
    if (const std::string problem = problem_of(id); !problem.empty()) {
      return missing(kind, problem);
    }
    const auto range = rate_of(*run(id), path);
    return range ? figure_of(kind, *range, {id}) : missing(kind, id + " says no rate");
  }

  const json::value* crypto_row(const CryptoRow& row) const {
    json::error_code error;
    const auto* figures = run("crypto")->find_pointer("/result/figures", error);
    if (figures == nullptr || !figures->is_array()) {
      return nullptr;
    }
    for (const json::value& entry : figures->as_array()) {
      if (text_at(entry, "/kernel") == row.kernel && text_at(entry, "/function") == row.function &&
          text_at(entry, "/class") == row.packet_class &&
          text_at(entry, "/yardstick") == row.yardstick) {
        return &entry;
      }
    }
    return nullptr;
  }

  /// Of samples of bursts of 32 in which the two took turns; quartiles.
  Figure over_yardstick(const FigureKind& kind, const CryptoRow& row, bool is_inverse) const {
    const std::string id = "crypto";
    if (const std::string problem = problem_of(id); !problem.empty()) {
      return missing(kind, problem);
    }
    const json::value* entry = crypto_row(row);
    if (entry == nullptr) {
      return missing(
          kind, "crypto has no " + row.function + " of " + row.kernel + " over " + row.yardstick);
    }
    const auto ratio = number_at(*entry, "/over_yardstick_by_burst/32");
    const auto low = number_at(*entry, "/over_yardstick_low_by_burst/32");
    const auto high = number_at(*entry, "/over_yardstick_high_by_burst/32");
    if (!ratio || !low || !high) {
      return missing(kind, "crypto compares no " + row.function + " of " + row.kernel);
    }
    const Range range = {*ratio, *low, *high};
    Figure figure = figure_of(kind, is_inverse ? Range{1, 1, 1} / range : range, {id});
    if (const auto bytes = number_at(*entry, "/loop_bytes")) {
      figure.conditions["loop_bytes"] = *bytes;
    }
    return figure;
  }

  const json::array& runs_;
};

json::value number_or_null(const std::optional<double>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

bool reaches(const Figure& figure, double bar) {
  return figure.kind->better == Better::higher ? *figure.value >= bar : *figure.value <= bar;
}

json::value reached(const Figure& figure, const std::optional<double>& bar) {
  return bar && figure.value ? json::value(reaches(figure, *bar)) : json::value(nullptr);
}

json::object bar_of(const Figure& figure) {
  const FigureKind& kind = *figure.kind;
  json::object bar = {{"text", kind.text},
                      {"unit", kind.unit},
                      {"better", kind.better == Better::higher ? "higher" : "lower"},
                      {"bar", number_or_null(kind.bar)},
                      {"aim", number_or_null(kind.aim)},
                      {"meets_bar", reached(figure, kind.bar)},
                      {"meets_aim", reached(figure, kind.aim)}};
  if (kind.is_absolute) {
    bar["holds_for"] = "the reference machine";
  }
  return bar;
}

}  // namespace

std::span<const FigureKind> figure_kinds() {
  return kKinds;
}

const FigureKind* figure_kind(std::string_view key) {
  const auto* const found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                         [&](const FigureKind& kind) { return kind.key == key; });
  return found == std::end(kKinds) ? nullptr : found;
}

std::vector<Figure> figures_of(const json::array& runs, const std::string& best_onion,
                               const std::string& best_x25519) {
  const Evidence evidence(runs);
  std::vector<Figure> figures;
  for (const FigureKind& kind : kKinds) {
    figures.push_back(evidence.figure(kind, best_onion, best_x25519));
  }
  return figures;
}

void put_figures(const std::vector<Figure>& figures, json::object& report) {
  json::object values;
  json::object spread;
  json::object missing;
  json::object from;
  json::object conditions;
  json::object bars;
  for (const Figure& figure : figures) {
    const char* const key = figure.kind->key;
    values[key] = number_or_null(figure.value);
    bars[key] = bar_of(figure);
    if (figure.value) {
      spread[key] = json::object{{"low", figure.low}, {"high", figure.high}};
      from[key] = json::array(figure.from.begin(), figure.from.end());
      conditions[key] = figure.conditions;
    } else {
      missing[key] = figure.missing;
    }
  }
  report["figures"] = std::move(values);
  report["figures_spread"] = std::move(spread);
  report["figures_missing"] = std::move(missing);
  report["figures_from"] = std::move(from);
  report["figures_conditions"] = std::move(conditions);
  report["bars"] = std::move(bars);
}

}  // namespace allium::bench
