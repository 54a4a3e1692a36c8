// SPDX-License-Identifier: Apache-2.0
#pragma once

// Verbs about the node of this machine: its identity and how it is.

#include <CLI/App.hpp>

namespace allium::cli {

void add_node_verbs(CLI::App& program);

}  // namespace allium::cli
