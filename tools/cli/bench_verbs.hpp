// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium bench ...`: the options of the measurements.

#include <CLI/App.hpp>

namespace allium::cli {

void add_bench_verbs(CLI::App& program);

}  // namespace allium::cli
