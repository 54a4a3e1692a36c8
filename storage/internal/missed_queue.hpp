// SPDX-License-Identifier: Apache-2.0
#pragma once

// Changes of the queues of missed records, one queue a peer.
//
//   Errors, Threads   as account_change.hpp.

#include <string>
#include <vector>

#include "storage/internal/transaction.hpp"

namespace allium::storage::internal {

/// Gives the number of the last, 0 where there are no records.
[[nodiscard]] std::uint64_t enqueue_missed(Transaction& transaction, const PeerKey& peer,
                                           const std::vector<std::string>& records);

/// Gives how many were dropped.
[[nodiscard]] std::size_t drop_missed(Transaction& transaction, const PeerKey& peer,
                                      std::uint64_t number);

/// Gives how many of them there were.
[[nodiscard]] std::size_t erase_missed(Transaction& transaction, const PeerKey& peer,
                                       const std::vector<std::uint64_t>& numbers);

}  // namespace allium::storage::internal
