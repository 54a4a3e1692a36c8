// SPDX-License-Identifier: Apache-2.0
#pragma once

// The CPU time that another process has used, all its threads together, in the kernel and outside of it: what utime and stime of
// /proc/PID/stat count in ticks of 10 ms, from the process's own clock and so to the nanosecond.
//
//   Units      microseconds.
//   Errors     Errc::not_found: there is no such process (any more).
//   Threads    reentrant.

#include <sys/types.h>

#include "crypto_accel/base/result.hpp"

namespace allium::bench {

[[nodiscard]] Result<double> process_cpu_us(pid_t pid);

/// Of this process.
[[nodiscard]] double own_cpu_us() noexcept;

}  // namespace allium::bench
