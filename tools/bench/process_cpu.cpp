// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/process_cpu.hpp"

#include <time.h>

#include <string>

namespace allium::bench {
namespace {

double in_us(const timespec& time) noexcept {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

}  // namespace

Result<double> process_cpu_us(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  // For pid 0 the call means the caller.
  if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    return fail(Errc::not_found, "process " + std::to_string(pid) + " has ended");
  }
  return in_us(used);
}

double own_cpu_us() noexcept {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return in_us(used);
}

}  // namespace allium::bench
