// SPDX-License-Identifier: Apache-2.0
#pragma once

// `allium bench store` and `allium bench onion-request`: the service nodes of the running devnet.

#include <CLI/App.hpp>

namespace allium::cli {

void add_service_bench_verbs(CLI::App& bench_verbs);

}  // namespace allium::cli
