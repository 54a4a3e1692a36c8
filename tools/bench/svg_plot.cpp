// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/svg_plot.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace allium::bench {
namespace {

constexpr double kWidth = 640;
constexpr double kLineHeight = 320;
constexpr double kRight = 16;
constexpr double kTop = 14;
constexpr double kBarHeight = 14;
constexpr double kLegendStep = 18;
constexpr std::size_t kSeriesClasses = 8;

std::string coordinate(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text class=\"text\" x=\"" + coordinate(x) + "\" y=\"" + coordinate(y) +
         "\" text-anchor=\"" + anchor + "\">" + html_text(text) + "</text>\n";
}

std::string line(const char* style, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + style + "\" x1=\"" + coordinate(x1) + "\" y1=\"" +
         coordinate(y1) + "\" x2=\"" + coordinate(x2) + "\" y2=\"" + coordinate(y2) + "\"/>\n";
}

std::string series_class(const Plot& plot, std::size_t index) {
  std::string name = "s" + std::to_string(index % kSeriesClasses);
  return plot.series[index].is_faint ? name + " faint" : name;
}

double largest(const Plot& plot) {
  double top = 0;
  for (const PlotSeries& series : plot.series) {
    for (const auto& value : series.values) {
      if (value) {
        top = std::max({top, value->value, series.is_faint ? 0 : value->high});
      }
    }
  }
  return top;
}

/// 1, 2 or 5 times a power of ten, so that some four to ten of it reach `top`.
double tick_of(double top) {
  if (!(top > 0)) {
    return 1;
  }
  const double rough = top / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) {
      return factor * power;
    }
  }
  return 10 * power;
}

std::string hint(const PlotSeries& series, const std::string& label, const PlotValue& value) {
  std::string text = series.name + ", " + label + ": " + short_number(value.value);
  if (!series.is_faint) {
    text += " (" + short_number(value.low) + " to " + short_number(value.high) + ")";
  }
  return "<title>" + html_text(text) + "</title>";
}

std::string opening(const Plot& plot, double height) {
  return "<svg viewBox=\"0 0 " + coordinate(kWidth) + " " + coordinate(height) +
         "\" role=\"img\" aria-label=\"" + html_text(plot.title) + "\">\n";
}

std::string legend(const Plot& plot, double x, double y) {
  std::string svg;
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    const double middle = y + kLegendStep * static_cast<double>(i);
    svg += line(series_class(plot, i).c_str(), x, middle, x + 22, middle);
    svg += text_at(x + 28, middle + 4, "start", plot.series[i].name);
  }
  return svg;
}

/// Where things are in a plot whose values go up.
struct LineFrame {
  double left = 62;
  double bottom = 0;
  double height = 0;
  double top_value = 1;
  double step = 0;

  [[nodiscard]] double x(std::size_t index) const {
    return left + step * (static_cast<double>(index) + 0.5);
  }

  [[nodiscard]] double y(double value) const { return bottom - value / top_value * height; }
};

std::string line_axes(const Plot& plot, const LineFrame& frame) {
  std::string svg;
  const double tick = tick_of(frame.top_value);
  for (double value = 0; value <= frame.top_value * 1.0001; value += tick) {
    svg += line(value == 0 ? "axis" : "grid", frame.left, frame.y(value), kWidth - kRight,
                frame.y(value));
    svg += text_at(frame.left - 6, frame.y(value) + 4, "end", short_number(value));
  }
  for (std::size_t i = 0; i < plot.labels.size(); ++i) {
    // Long labels take turns in two rows.
    const double row = plot.labels.size() > 4 && plot.labels[i].size() > 8 && i % 2 == 1 ? 14 : 0;
    svg += text_at(frame.x(i), frame.bottom + 17 + row, "middle", plot.labels[i]);
  }
  svg += text_at((frame.left + kWidth - kRight) / 2, frame.bottom + 50, "middle", plot.x_title);
  svg += text_at(frame.left, kTop - 2, "start", plot.y_title);
  return svg;
}

std::string line_of(const Plot& plot, std::size_t index, const LineFrame& frame) {
  const PlotSeries& series = plot.series[index];
  const std::string style = series_class(plot, index);
  std::string path;
  std::string marks;
  bool is_joined = false;
  for (std::size_t i = 0; i < series.values.size(); ++i) {
    const auto& value = series.values[i];
    if (value) {
      path += (is_joined ? " L" : " M") + coordinate(frame.x(i)) + " " +
              coordinate(frame.y(value->value));
      if (!series.is_faint) {
        marks +=
            line(style.c_str(), frame.x(i), frame.y(value->low), frame.x(i), frame.y(value->high));
      }
      marks += "<circle class=\"" + style + "\" cx=\"" + coordinate(frame.x(i)) + "\" cy=\"" +
               coordinate(frame.y(value->value)) + "\" r=\"3.5\">" +
               hint(series, plot.labels[i], *value) + "</circle>\n";
    }
    is_joined = value.has_value();
  }
  return path.empty() ? ""
                      : "<path class=\"" + style + "\" fill=\"none\" d=\"" + path.substr(1) +
                            "\"/>\n" + marks;
}

std::string bar_of(const Plot& plot, std::size_t series, std::size_t label, double left, double y,
                   double scale) {
  const auto& value = plot.series[series].values[label];
  if (!value) {
    return text_at(left + 4, y + kBarHeight - 3, "start", "not measured");
  }
  const std::string style = series_class(plot, series);
  const double end = left + value->value * scale;
  const double middle = y + kBarHeight / 2;
  std::string svg = "<rect class=\"" + style + " bar\" x=\"" + coordinate(left) + "\" y=\"" +
                    coordinate(y) + "\" width=\"" + coordinate(value->value * scale) +
                    "\" height=\"" + coordinate(kBarHeight - 2) + "\">" +
                    hint(plot.series[series], plot.labels[label], *value) + "</rect>\n";
  if (plot.series[series].is_faint) {
    return svg + text_at(end + 5, y + kBarHeight - 3, "start", short_number(value->value));
  }
  svg += line("whisker", left + value->low * scale, middle - 1, left + value->high * scale,
              middle - 1);
  return svg + text_at(std::max(end, left + value->high * scale) + 5, y + kBarHeight - 3, "start",
                       short_number(value->value));
}

}  // namespace

std::string html_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return escaped;
}

std::string short_number(double number) {
  const double size = std::abs(number);
  const int digits = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string line_plot(const Plot& plot) {
  LineFrame frame;
  const double top = largest(plot);
  const double tick = tick_of(top);
  frame.top_value = std::max(std::ceil(top / tick) * tick, tick);
  frame.bottom = kLineHeight - 58;
  frame.height = frame.bottom - kTop - 6;
  frame.step = (kWidth - kRight - frame.left) /
               static_cast<double>(std::max<std::size_t>(plot.labels.size(), 1));
  const double height = kLineHeight + kLegendStep * static_cast<double>(plot.series.size());
  std::string svg = opening(plot, height) + line_axes(plot, frame);
  for (std::size_t i = 0; i < plot.series.size(); ++i) {
    svg += line_of(plot, i, frame);
  }
  return svg + legend(plot, frame.left, kLineHeight + 4) + "</svg>\n";
}

std::string bar_plot(const Plot& plot) {
  const double left = 170;
  const double top = largest(plot);
  const double scale = top > 0 ? (kWidth - kRight - left - 60) / top : 0;
  const double group = kBarHeight * static_cast<double>(plot.series.size()) + 8;
  const double bottom = kTop + 8 + group * static_cast<double>(plot.labels.size());
  std::string svg =
      opening(plot, bottom + 14 + kLegendStep * static_cast<double>(plot.series.size()));
  svg += text_at(left, kTop - 2, "start", plot.y_title);
  for (std::size_t label = 0; label < plot.labels.size(); ++label) {
    const double y = kTop + 8 + group * static_cast<double>(label);
    svg += text_at(left - 8, y + group / 2, "end", plot.labels[label]);
    for (std::size_t series = 0; series < plot.series.size(); ++series) {
      svg += bar_of(plot, series, label, left, y + kBarHeight * static_cast<double>(series), scale);
    }
  }
  svg += line("axis", left, kTop + 4, left, bottom);
  return svg + legend(plot, left, bottom + 12) + "</svg>\n";
}

}  // namespace allium::bench
