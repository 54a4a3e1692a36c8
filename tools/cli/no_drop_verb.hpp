// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium bench no-drop`.

#include <CLI/App.hpp>

namespace allium::cli {

void add_no_drop_verb(CLI::App& bench_verbs);

}  // namespace allium::cli
