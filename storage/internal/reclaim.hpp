// SPDX-License-Identifier: Apache-2.0
#pragma once

// Frees what is over, in pieces, so that other changes are not kept waiting.
//
//   Errors     a damaged entry is left where it is and passed by: it must not keep the rest on the disk.
//   Threads    the writer's.

#include <string>

#include "storage/internal/transaction.hpp"

namespace allium::storage::internal {

inline constexpr std::size_t kReclaimPieceMax = 2048;

struct ReclaimedPiece {
  std::size_t messages = 0;
  std::string next;  ///< where to go on; empty: all is done
};

/// `from`: empty at first, then the last piece's `next`.
[[nodiscard]] ReclaimedPiece reclaim_piece(Transaction& transaction, std::uint64_t now_ms,
                                           std::string from);

}  // namespace allium::storage::internal
