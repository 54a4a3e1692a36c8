// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium store`: the messages of this machine's node.

#include <CLI/App.hpp>

namespace allium::cli {

void add_store_verbs(CLI::App& program);

}  // namespace allium::cli
