// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether the files that a configuration names are there and can be read: what an operator wants to know before a restart, and
// what parse_configuration() cannot say, since it looks at no file.
//
//   Errors    "name:line: reason", the line of the key; 1 where the key is not said.
//   Threads   reentrant.
//   Cost      no passphrase is tried: that takes 256 MiB, which a machine whose node is running may not have to spare.

#include <string>

#include "control/manage/configuration.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// `name` stands for the configuration's file in errors. Run it as the user whom alliumd will run as.
[[nodiscard]] Result<void> check_configuration_files(const Configuration& configuration,
                                                     const std::string& name);

}  // namespace allium::control
