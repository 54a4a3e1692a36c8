// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether this process could open the files of a database.
//
//   Threads    any.

namespace allium::storage::internal {

/// Whether there are as many descriptors as opening a database takes. Takes them for a moment, since nothing else tells: others of this
/// process, and of the machine, have them at the same time.
[[nodiscard]] bool can_open_files();

}  // namespace allium::storage::internal
