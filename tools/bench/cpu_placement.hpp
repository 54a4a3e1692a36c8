// SPDX-License-Identifier: Apache-2.0
#pragma once

// On which CPUs a measurement runs: a move in the middle costs its caches.
//
//   Units      CPUs by the kernel's numbers.
//   Threads    the calling thread's.

#include <vector>

namespace allium::bench {

/// Those that the thread may run on, in order.
[[nodiscard]] std::vector<int> own_cpus();

/// From here on this thread runs on that CPU alone. Where the kernel refuses it stays as it was.
void stay_on(int cpu);

/// The same, on the CPU where it is.
void stay_on_this_cpu();

}  // namespace allium::bench
