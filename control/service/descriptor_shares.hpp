// SPDX-License-Identifier: Apache-2.0
#pragma once

// How many of the process's descriptors connections from outside may take, so that there are always some for the store's files and for
// connections to other nodes and from them.
//
//   Threads  reentrant.

#include <cstddef>
#include <cstdint>

namespace allium::control {

/// Connections that others open.
struct DescriptorShares {
  std::size_t https = 0;
  std::size_t omq_clients = 0;  ///< OMQ, those that have said anything
  std::size_t omq_silent = 0;   ///< OMQ, the others
};

/// `full` where `limit` descriptors are enough for it, else the same parts of what there is. A reserve is left in any case: half of
/// `limit`, up to 3,072.
[[nodiscard]] DescriptorShares share_descriptors(std::uint64_t limit, const DescriptorShares& full);

/// The soft limit of this process.
[[nodiscard]] std::uint64_t descriptor_limit();

}  // namespace allium::control
