// SPDX-License-Identifier: Apache-2.0
#pragma once

// What of a node is on disk before alliumd serves: its identity, and the directory of its data. Both are nobody else's to read, and the
// log says so where they are.
//
//   Errors    of the identity file, with what to do where there is none; Errc::io.
//   Threads   the service thread, before there is another.

#include <string>

#include "control/manage/configuration.hpp"
#include "control/manage/event_log.hpp"
#include "control/node/identity_file.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// Of the identity file that the configuration names, opened with its passphrase where there is one.
[[nodiscard]] Result<Seed> load_seed(const Configuration& configuration, const EventLog& log);

/// Makes it for this user alone. One that was there may be shared on purpose, or hold other things (/srv); what messages are kept in
/// is nobody else's.
[[nodiscard]] Result<void> make_data_directory(const std::string& directory, const EventLog& log);

}  // namespace allium::control
