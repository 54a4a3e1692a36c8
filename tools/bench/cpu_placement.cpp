// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/cpu_placement.hpp"

#include <sched.h>

#include <cstddef>

namespace allium::bench {

std::vector<int> own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

void stay_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

void stay_on_this_cpu() {
  const int cpu = sched_getcpu();
  if (cpu >= 0) {
    stay_on(cpu);
  }
}

}  // namespace allium::bench
