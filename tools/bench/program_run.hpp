// SPDX-License-Identifier: Apache-2.0
#pragma once

// A run of this very program with other words, for so long at most; SIGINT and SIGTERM to us end it, and everything
// that it started, too.
//
//   Ownership  from construction on, SIGINT and SIGTERM of the process come to this object; its end gives them back.
//   Errors     Errc::refused once such a signal came; Errc::io.
//   Threads    one.

#include <signal.h>

#include <string>
#include <vector>

#include "tools/bench/report_runs.hpp"

namespace allium::bench {

class ProgramRuns {
 public:
  /// `program` is a path; `name` is what it hears as its own name.
  ProgramRuns(std::string program, std::string name);
  ~ProgramRuns();
  ProgramRuns(const ProgramRuns&) = delete;
  ProgramRuns& operator=(const ProgramRuns&) = delete;

  [[nodiscard]] Result<ProgramEnd> run(const std::vector<std::string>& words,
                                       const std::string& kernels, double seconds_max);

  /// The signal that came, or 0.
  [[nodiscard]] int interrupted_by() const { return interrupted_by_; }

 private:
  std::string program_;
  std::string name_;
  sigset_t former_mask_{};
  int signals_ = -1;
  int interrupted_by_ = 0;
};

}  // namespace allium::bench
