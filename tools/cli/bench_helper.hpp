// SPDX-License-Identifier: Apache-2.0
#pragma once

// allium-bench-dp, the program that measures whole relays and lies beside this one.
//
//   Errors     words of its own on standard error; our exit code is its.
//   Threads    the main thread's.

#include <string>
#include <vector>

#include <boost/json/object.hpp>

namespace allium::cli {

struct HelperResult {
  boost::json::object object;
  int exit_code = 0;
};

/// Runs it with these words after its name; its talk goes to our standard error. Where it prints no result, ends with its exit code.
[[nodiscard]] HelperResult run_bench_helper(const std::vector<std::string>& words);

/// A number of a result.
[[nodiscard]] double real(const boost::json::object& object, const char* key);

}  // namespace allium::cli
