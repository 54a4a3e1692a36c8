// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a figure was measured: without this no figure is printed.
//
//   Threads    reentrant.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

namespace allium::bench {

/// "pages" of an environment where packets lay on huge pages; else "4 KiB".
inline constexpr const char* kHugePages = "2 MiB";

/// CPU time of the whole machine, in ticks, and what of it the host took away.
struct MachineTime {
  std::uint64_t all = 0;
  std::uint64_t stolen = 0;
};

[[nodiscard]] MachineTime machine_time();

/// Between two moments, in percent.
[[nodiscard]] double steal_percent(const MachineTime& begin, const MachineTime& end);

/// "cpu", "cpus", "isa" (what matters here of its instruction sets), "l2_bytes", "l3_bytes", "virtual",
/// "tsc_hz" (measured here), "tsc_is_constant", "huge_pages_free", "kernel_release".
[[nodiscard]] boost::json::object environment();

/// Why figures from here cannot stand beside those of another machine, one short phrase each; empty: they can.
/// Looks at "virtual" and "tsc_is_constant", at "pages" or else "huge_pages_free", and at "workers", "steal_percent" and
/// "spread_percent" where they are there.
[[nodiscard]] std::vector<std::string> comparative_reasons(const boost::json::object& environment);

/// Adds "comparative_only" and "comparative_reasons".
void mark_comparative(boost::json::object& environment);

/// All of it in a few lines for people. Requires what environment() and mark_comparative() put in.
[[nodiscard]] std::string environment_text(const boost::json::object& environment);

[[nodiscard]] std::uint64_t measured_tsc_hz();

/// Bytes that programs may still take without swapping, 0 where nobody says.
[[nodiscard]] std::size_t available_memory_bytes();

}  // namespace allium::bench
