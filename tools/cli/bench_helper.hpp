// SPDX-License-Identifier: Apache-2.0
#pragma once

// allium-bench-dp, the program that measures whole relays and lies beside this one.
//
//   Ownership  add_traffic_options() borrows: the options outlive the verb.
//   Errors     words of its own on standard error; our exit code is its.
//   Threads    the main thread's.

#include <cstddef>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <boost/json/object.hpp>

namespace allium::cli {

/// Of the packets, for every measurement.
struct TrafficOptions {
  std::string ip = "4";
  std::size_t sessions = 4096;
  std::size_t burst = 32;
  double replay_mpps = 1;
  bool no_huge = false;
};

void add_traffic_options(CLI::App& verb, TrafficOptions& options);

/// The helper's words for them.
[[nodiscard]] std::vector<std::string> words_of(const TrafficOptions& options);

struct HelperResult {
  boost::json::object object;
  int exit_code = 0;
};

/// Runs it with these words after its name; its talk goes to our standard error. Where it prints no result, ends with its exit code.
[[nodiscard]] HelperResult run_bench_helper(const std::vector<std::string>& words);

/// A number of a result.
[[nodiscard]] double real(const boost::json::object& object, const char* key);

}  // namespace allium::cli
