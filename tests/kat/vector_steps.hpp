// SPDX-License-Identifier: Apache-2.0
#pragma once

// The operations of a vector file: each turns a step's inputs into what `expect` should be.

#include <boost/json.hpp>

#include "tests/kat/vector_world.hpp"

namespace allium::kat {

/// Runs one step. Throws VectorError on a step that is not of the schema.
boost::json::value run_step(World& world, const boost::json::object& step, Feed& feed);

}  // namespace allium::kat
