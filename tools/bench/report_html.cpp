// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report_html.hpp"

#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "tools/bench/json_lookup.hpp"
#include "tools/bench/report_plots.hpp"
#include "tools/bench/svg_plot.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

// The colours of the series can be told apart with any kind of colour vision (Okabe and Ito's set, brightened where
// the ground is dark).
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1d22; --dim: #5b6270; --rule: #d7dbe2; --soft: #f3f5f8;
  --good: #0a7a4b; --bad: #b3261e; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #8a6d00;
  --c5: #56707f; --c6: #7b4fb5; --c7: #333; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --ink: #e8eaee; --dim: #a0a8b6; --rule: #363b44;
  --soft: #1e2127; --good: #56d39a; --bad: #ff8a80; --c0: #56b4e9; --c1: #ff9a55; --c2: #3fd0a4; --c3: #e8a3c8;
  --c4: #f0e442; --c5: #a9bdc9; --c6: #bfa0ee; --c7: #ccc; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 64px; max-width: 1180px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 8px; } h3 { font-size: 15px; margin: 0 0 2px; }
p { max-width: 76ch; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
.warning { border-left: 4px solid var(--bad); background: var(--soft); padding: 8px 14px; margin: 16px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--dim); font-weight: 600; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.value { font-weight: 700; font-size: 15px; } code, pre { font: 12px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: 12px; overflow: auto; max-height: 480px; white-space: pre-wrap; word-break: break-all; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(430px, 1fr)); gap: 28px 32px; }
figure { margin: 0; break-inside: avoid; } figure p { margin: 2px 0 6px; font-size: 13px; color: var(--dim); }
svg { width: 100%; height: auto; } svg .text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .axis { stroke: var(--dim); } svg .grid { stroke: var(--rule); } svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
svg .s0 { stroke: var(--c0); fill: var(--c0); } svg .s1 { stroke: var(--c1); fill: var(--c1); }
svg .s2 { stroke: var(--c2); fill: var(--c2); } svg .s3 { stroke: var(--c3); fill: var(--c3); }
svg .s4 { stroke: var(--c4); fill: var(--c4); } svg .s5 { stroke: var(--c5); fill: var(--c5); }
svg .s6 { stroke: var(--c6); fill: var(--c6); } svg .s7 { stroke: var(--c7); fill: var(--c7); }
svg line, svg path { stroke-width: 2; } svg .grid, svg .axis { stroke-width: 1; } svg path { fill: none; }
svg .faint { stroke-dasharray: 4 4; opacity: .7; } svg rect { stroke: none; }
@media print { :root { --ground: #fff; --ink: #000; --dim: #444; --rule: #bbb; --soft: #fff; --good: #000; --bad: #000;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #8a6d00; --c5: #56707f; --c6: #7b4fb5; --c7: #333; }
  body { max-width: none; padding: 0; font-size: 11px; } table { font-size: 10px; } .plots { grid-template-columns: 1fr 1fr; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } details { display: none; } }
)";

std::string element(const char* name, const std::string& inside) {
  return "<" + std::string(name) + ">" + inside + "</" + name + ">\n";
}

std::string cell(const std::string& text, const char* style = "") {
  return style[0] == '\0' ? "<td>" + text + "</td>"
                          : "<td class=\"" + std::string(style) + "\">" + text + "</td>";
}

std::string number_cell(const std::optional<double>& number, const char* style = "n") {
  return cell(number ? short_number(*number) : "", style);
}

std::string row(const std::string& cells) {
  return "<tr>" + cells + "</tr>\n";
}

std::string head(const std::vector<std::pair<const char*, bool>>& names) {
  std::string cells;
  for (const auto& [name, is_number] : names) {
    cells += std::string(is_number ? "<th class=\"n\">" : "<th>") + html_text(name) + "</th>";
  }
  return "<thead>" + row(cells) + "</thead>\n";
}

std::string table(const std::string& heading, const std::string& rows) {
  return "<div class=\"scroll\"><table>\n" + heading + "<tbody>\n" + rows +
         "</tbody>\n</table></div>\n";
}

std::optional<double> scaled(const std::optional<double>& number, double factor) {
  return number ? std::optional(*number * factor) : std::nullopt;
}

std::string joined(const json::value& document, std::string_view path, const char* between) {
  json::error_code error;
  const auto* list = document.find_pointer(path, error);
  std::string text;
  if (list != nullptr && list->is_array()) {
    for (const json::value& item : list->as_array()) {
      text += (text.empty() ? "" : between) +
              (item.is_string() ? std::string(item.as_string()) : json::serialize(item));
    }
  }
  return text;
}

// What the value is to its bar and its aim.
std::string verdict(const json::value& bar) {
  const std::string suffix = text_at(bar, "/holds_for");
  const std::string where =
      suffix.empty() ? "" : " <span class=\"dim\">(a bar of " + html_text(suffix) + ")</span>";
  if (is_true_at(bar, "/meets_aim")) {
    return "<span class=\"good\">reaches the aim</span>" + where;
  }
  if (is_true_at(bar, "/meets_bar")) {
    return "<span class=\"good\">meets the bar</span>" + where;
  }
  return number_at(bar, "/bar") ? "<span class=\"bad\">misses the bar</span>" + where
                                : "<span class=\"dim\">reported, no bar</span>";
}

std::string bound(const json::value& bar, const char* which) {
  const auto number = number_at(bar, which);
  if (!number) {
    return cell("", "n");
  }
  return cell(
      (text_at(bar, "/better") == "higher" ? "&#8805; " : "&#8804; ") + short_number(*number), "n");
}

std::string figure_row(const json::value& report, const std::string& key) {
  json::error_code error;
  const json::value empty = json::object();
  const auto* found = report.find_pointer("/bars/" + key, error);
  const json::value& bar = found == nullptr ? empty : *found;
  const std::string unit = text_at(bar, "/unit");
  const std::string suffix = unit == "x" ? "" : " " + html_text(unit);
  std::string cells =
      cell(html_text(text_at(bar, "/text")) + "<br/><code>" + html_text(key) + "</code>");
  const auto value = number_at(report, "/figures/" + key);
  if (!value) {
    return row(cells + "<td class=\"n\">&#8211;</td><td></td>" + bound(bar, "/bar") +
               bound(bar, "/aim") + "<td colspan=\"4\"><span class=\"bad\">not measured</span>: " +
               html_text(text_at(report, "/figures_missing/" + key)) + "</td>");
  }
  const std::string place = "/figures_conditions/" + key;
  cells += cell(short_number(*value) + suffix, "n value");
  cells += cell(
      short_number(number_at(report, "/figures_spread/" + key + "/low").value_or(*value)) + " to " +
          short_number(number_at(report, "/figures_spread/" + key + "/high").value_or(*value)),
      "n");
  cells += bound(bar, "/bar") + bound(bar, "/aim") + cell(verdict(bar));
  cells += number_cell(scaled(number_at(report, place + "/loop_bytes"), 1e-6));
  cells += number_cell(scaled(number_at(report, place + "/tsc_hz"), 1e-9));
  return row(cells + number_cell(number_at(report, place + "/steal_percent")));
}

std::string figures(const json::value& report) {
  std::string rows;
  for (const auto& [key, value] : report.at("figures").as_object()) {
    rows += figure_row(report, std::string(key));
  }
  return table(head({{"figure", false},
                     {"measured", true},
                     {"range of repeats", true},
                     {"bar", true},
                     {"aim", true},
                     {"", false},
                     {"loop, MB", true},
                     {"TSC, GHz", true},
                     {"steal, %", true}}),
               rows);
}

std::string warnings(const json::value& report) {
  std::string text;
  if (is_true_at(report, "/environment/comparative_only")) {
    text += element("p",
                    "<strong>Comparative only.</strong> Compare ratios of this run, not its "
                    "absolute figures with other "
                    "machines: " +
                        html_text(joined(report, "/environment/comparative_reasons", ", ")) + ".");
  }
  if (is_true_at(report, "/settings/quick") ||
      number_at(report, "/settings/packets").value_or(0) != 0 ||
      number_at(report, "/settings/repeats").value_or(0) != 0) {
    text += element("p",
                    "<strong>A short run.</strong> Fewer repeats or smaller loops than a whole "
                    "report has: its ranges are "
                    "wide, and small loops stay in caches.");
  }
  if (const std::string kernels = text_at(report, "/settings/kernel_wish"); !kernels.empty()) {
    text += element(
        "p", "<strong>Kernels were forced:</strong> <code>" + html_text(kernels) + "</code>.");
  }
  for (const json::value& run : report.at("runs").as_array()) {
    const std::string state = text_at(run, "/state");
    if (state == "failed" || state == "invalid") {
      text += element("p", "<strong>" + html_text(text_at(run, "/id")) + " " + state +
                               ":</strong> " + html_text(text_at(run, "/reason")));
    }
  }
  return text.empty() ? text : "<div class=\"warning\" role=\"note\">\n" + text + "</div>\n";
}

std::string paragraphs(const json::value& report, const char* list) {
  std::string text;
  for (const json::value& item : report.at(list).as_array()) {
    text += element("li", html_text(std::string(item.as_string())));
  }
  return element("ul", text);
}

std::string environment(const json::value& report) {
  std::string rows;
  for (const auto& [key, value] : report.at("environment").as_object()) {
    std::string text;
    if (value.is_array()) {
      text = joined(value, "", ", ");
    } else if (value.is_string()) {
      text = std::string(value.as_string());
    } else {
      text = json::serialize(value);
    }
    rows += row("<th>" + html_text(std::string(key)) + "</th>" + cell(html_text(text)));
  }
  return table("", rows);
}

std::string plots(const json::object& report) {
  std::string text;
  for (const ReportPlot& made : plots_of(report)) {
    text += "<figure><h3>" + html_text(made.plot.title) + "</h3>\n<p>" + html_text(made.note) +
            "</p>\n" + (made.is_bars ? bar_plot(made.plot) : line_plot(made.plot)) + "</figure>\n";
  }
  return text.empty() ? element("p", "No run of a plot was measured.")
                      : "<div class=\"plots\">\n" + text + "</div>\n";
}

std::string run_row(const json::value& run) {
  const std::string state = text_at(run, "/state");
  std::string cells = cell(html_text(text_at(run, "/id")) + "<br/><code>" +
                           html_text(text_at(run, "/command")) + "</code>");
  if (state != "measured") {
    return row(cells + "<td colspan=\"9\"><span class=\"bad\">" + html_text(state) +
               "</span>: " + html_text(text_at(run, "/reason")) + "</td>");
  }
  const auto low = number_at(run, "/result/cycles_per_packet_min");
  const auto high = number_at(run, "/result/cycles_per_packet_max");
  cells += number_cell(number_at(run, "/result/cycles_per_packet"));
  cells += cell(low && high ? short_number(*low) + " to " + short_number(*high) : "", "n");
  cells += number_cell(number_at(run, "/result/io_cycles_per_packet"));
  cells += number_cell(number_at(run, "/result/cycles_without_io"));
  cells +=
      number_cell(number_at(run, "/result/mpps")) + number_cell(number_at(run, "/result/gbit_s"));
  cells += number_cell(scaled(number_at(run, "/result/loop_bytes"), 1e-6));
  cells += cell(html_text(text_at(run, "/result/environment/kernels")) + "<br/>" +
                html_text(text_at(run, "/result/environment/pages")));
  return row(cells + number_cell(number_at(run, "/steal_percent")));
}

// Relays that took turns with the first one of a run.
std::string contender_rows(const json::value& run) {
  std::string rows;
  const json::array& labels = run.at("labels").as_array();
  for (std::size_t i = 1; i < labels.size() && text_at(run, "/state") == "measured"; ++i) {
    const std::string place = "/result/contenders/" + std::to_string(i - 1);
    const auto low = number_at(run, place + "/cycles_per_packet_min");
    const auto high = number_at(run, place + "/cycles_per_packet_max");
    const auto ratio = number_at(run, place + "/ratio");
    rows += row(cell("&#8195;" + html_text(text_at(labels[i], "")) + " in turns with " +
                     html_text(text_at(labels[0], ""))) +
                number_cell(number_at(run, place + "/cycles_per_packet")) +
                cell(low && high ? short_number(*low) + " to " + short_number(*high) : "", "n") +
                "<td colspan=\"5\">" + (ratio ? short_number(*ratio) + " times the cycles" : "") +
                "</td>" + cell(html_text(text_at(run, place + "/kernels"))) + "<td></td>");
  }
  return rows;
}

std::string runs(const json::value& report) {
  std::string rows;
  for (const json::value& run : report.at("runs").as_array()) {
    rows += run_row(run) + contender_rows(run);
  }
  return table(head({{"run", false},
                     {"cycles a packet", true},
                     {"of repeats", true},
                     {"devices alone", true},
                     {"without devices", true},
                     {"Mpps", true},
                     {"Gbit/s", true},
                     {"loop, MB", true},
                     {"kernels, pages", false},
                     {"steal, %", true}}),
               rows);
}

std::string subtitle(const json::value& report) {
  char text[160];
  std::snprintf(text, sizeof text,
                "%s CPUs, TSC %.3f GHz; %.0f s of measuring, %.1f %% of the machine's time stolen "
                "by its host",
                short_number(number_at(report, "/environment/cpus").value_or(0)).c_str(),
                number_at(report, "/environment/tsc_hz").value_or(0) / 1e9,
                number_at(report, "/seconds").value_or(0),
                number_at(report, "/environment/steal_percent").value_or(0));
  return html_text(text_at(report, "/environment/cpu")) + ", " + html_text(text) + "; allium " +
         html_text(text_at(report, "/version")) + ", " + html_text(text_at(report, "/begun_utc"));
}

}  // namespace

std::string report_html(const json::object& report_object) {
  const json::value report = report_object;
  std::string page =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<meta name=\"generator\" content=\"" +
      html_text(text_at(report, "/schema")) +
      "\"/>\n"
      "<title>Allium: packets a second</title>\n<style>" +
      std::string(kStyle) + "</style>\n</head>\n<body>\n";
  page += element("h1", "Allium: what a relay costs on this machine");
  page += "<p class=\"dim\">" + subtitle(report) + "</p>\n" + warnings(report);
  page += element("h2", "Figures and their bars") + figures(report);
  page += element("h2", "What was not measured") + paragraphs(report, "not_measured");
  page += element("h2", "Method") + paragraphs(report, "method");
  page += element("h2", "Environment") + environment(report);
  page += element("h2", "Plots") + plots(report_object);
  page += element("h2", "Runs") + element("p", "Each is one command; repeat any of them.") +
          runs(report);
  page += element("h2", "Raw data");
  page += "<details><summary>report.json</summary><pre>" + html_text(json::serialize(report)) +
          "</pre></details>\n";
  return page + "</body>\n</html>\n";
}

}  // namespace allium::bench
