// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which measurements make a report, in which order. Each is one command of `allium bench`, so that anybody can repeat
// any of them alone.
//
//   Units      packets; bytes.
//   Threads    reentrant.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace allium::bench {

/// What the plan has to know of where it is carried out.
struct ReportMachine {
  std::size_t cpus = 1;
  std::vector<std::string> onion_kernels;   ///< that this CPU runs, the portable one first
  std::vector<std::string> x25519_kernels;  ///< the same
  std::string best_onion;                   ///< that a relay takes here
  std::string best_x25519;
  std::size_t l3_bytes = 0;
  std::size_t available_memory_bytes = 0;  ///< 0: unknown
};

struct ReportSize {
  bool quick = false;       ///< the figures, fewer repeats, and half of the plots' points
  std::size_t packets = 0;  ///< in every loop, a multiple of 32; 0: as many as the run is about
  std::size_t repeats = 0;  ///< of every run; 0: seven, three where it is quick
};

/// One command. What is compared takes turns in one run, as contenders of its first relay.
struct PlannedRun {
  std::string id;
  std::string group;   ///< the plot that it has points of; empty: of none
  std::string series;  ///< of that plot
  std::vector<std::string>
      labels;  ///< on that plot's axis: of the first relay, then of each contender
  std::vector<std::string> words;  ///< after "allium"
  std::string kernels;             ///< ALLIUM_KERNEL; empty: as it is
  std::string impossible;          ///< why this machine cannot do it; empty: it can
};

enum class PlotKind : std::uint8_t { lines, bars };

/// A plot of the runs that name the group `source`.
struct ReportGroup {
  std::string id;
  std::string title;
  std::string axis;  ///< of the labels
  std::string
      y_key;  ///< of a result: "cycles_per_packet", "mpps", or what the first relay alone has
  PlotKind kind = PlotKind::lines;
  std::string note;      ///< what a reader has to know with it
  std::string source{};  ///< a group's id, often its own
};

struct ReportPlan {
  std::vector<ReportGroup> groups;
  std::vector<PlannedRun> runs;  ///< those that figures come from are first
};

[[nodiscard]] ReportPlan plan_report(const ReportSize& size, const ReportMachine& machine);

}  // namespace allium::bench
