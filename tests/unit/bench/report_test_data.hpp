// SPDX-License-Identifier: Apache-2.0
#pragma once

// Results as `bench forward --json` and `bench crypto --json` print them, with numbers of our own, and a plan whose
// runs answer with them.

#include <map>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "tools/bench/report.hpp"
#include "tools/bench/report_runs.hpp"

namespace allium::bench::test {

/// A machine with vector kernels and two cores.
[[nodiscard]] ReportMachine vector_machine();

/// Valid, with so many cycles a packet, 5 % less and 10 % more in other repeats.
[[nodiscard]] boost::json::object forward_result(double cycles);

/// Adds a relay that took turns with the first and is so many times as dear, 10 % less and more.
void add_contender(double ratio, boost::json::object& result);

[[nodiscard]] boost::json::object crypto_result();

/// Answers every command with a result in which every contender is four times as dear as the first relay, unless something else is
/// set for a run's command line.
class FakeProgram {
 public:
  Result<ProgramEnd> operator()(const std::vector<std::string>& words, const std::string& kernels,
                                double seconds_max);

  std::map<std::string, ProgramEnd> answers;  ///< by a part of the command line
  std::vector<std::string> commands;          ///< that were run
  double now_s = 0;                           ///< one second later after each
};

/// All runs of the plan for this machine, answered by the program.
[[nodiscard]] boost::json::array fake_runs(const ReportPlan& plan, FakeProgram& program);

/// A whole report of fake runs.
[[nodiscard]] boost::json::object fake_report(FakeProgram& program,
                                              const ReportMachine& machine = vector_machine());

}  // namespace allium::bench::test
