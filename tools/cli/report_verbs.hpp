// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium bench report` and `allium bench compare`.

#include <CLI/App.hpp>

namespace allium::cli {

void add_report_verbs(CLI::App& bench_verbs);

}  // namespace allium::cli
