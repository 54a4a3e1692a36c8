// SPDX-License-Identifier: Apache-2.0
#pragma once

// For processes that hold keys or passphrases: what is in their memory stays there.
//
//   Threads   the whole process; call it before the first secret is read.

namespace allium {

/// No core dump from now on, and no other process of this user reads this one's memory or traces it. What the process executes
/// later begins anew. Not for one that makes a user namespace: it could not write its own /proc/self/uid_map any more.
void forbid_memory_dumps() noexcept;

}  // namespace allium
