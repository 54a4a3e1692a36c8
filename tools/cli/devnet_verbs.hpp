// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium devnet ...` and `allium show ...`: the options of a local network's verbs.

#include <CLI/App.hpp>

namespace allium::cli {

void add_devnet_verbs(CLI::App& program);
void add_show_verbs(CLI::App& program);

}  // namespace allium::cli
