// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a figure was measured: without this no figure is printed.
//
//   Threads    reentrant.

#include <cstdint>
#include <string>

#include <boost/json/object.hpp>

namespace allium::bench {

/// CPU time of the whole machine, in ticks, and what of it the host took away.
struct MachineTime {
  std::uint64_t all = 0;
  std::uint64_t stolen = 0;
};

[[nodiscard]] MachineTime machine_time();

/// Between two moments, in percent.
[[nodiscard]] double steal_percent(const MachineTime& begin, const MachineTime& end);

/// "cpu", "cpus", "virtual", "tsc_hz", "huge_pages_free", "kernel_release". `tsc_hz` is measured here.
[[nodiscard]] boost::json::object environment();

/// The same in two lines for people, with what it means for a figure.
[[nodiscard]] std::string environment_text(const boost::json::object& environment);

[[nodiscard]] std::uint64_t measured_tsc_hz();

}  // namespace allium::bench
