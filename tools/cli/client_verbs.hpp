// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium client ...`: the options of the reference client's verbs.

#include <CLI/App.hpp>

namespace allium::cli {

/// Adds `client` with its verbs to the program. The verb that was given ends the parse by throwing
/// CLI::RuntimeError with its exit code, unless that is 0.
void add_client_verbs(CLI::App& program);

/// allium rpc.
void add_rpc_verb(CLI::App& program);

}  // namespace allium::cli
