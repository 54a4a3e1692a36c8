// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counters of one relay as JSON: totals, drops by reason, drops by class, and whether the books balance.
//
//   Threads    reentrant.

#include <string>

#include <boost/json/object.hpp>

#include "dataplane/control_port/messages.hpp"

namespace allium::control {

[[nodiscard]] boost::json::object counters_json(const std::string& node,
                                                const control_port::Counters& counters);

}  // namespace allium::control
