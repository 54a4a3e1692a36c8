// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/reclaim.hpp"

#include "storage/internal/account_change.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage::internal {
namespace {

bool reclaim_message(Transaction& transaction, std::string_view key, std::uint64_t now_ms) {
  const auto parsed = parse_message_key(key);
  const auto value = transaction.get(key);
  if (!parsed || !value) {
    return false;
  }
  auto header = decode_header(*value);
  if (!header) {
    return false;
  }
  AccountChange(transaction, parsed->account, now_ms).free({parsed->place, std::move(*header)});
  return true;
}

void reclaim_trace(Transaction& transaction, std::string_view key, std::string_view expiring,
                   std::uint64_t now_ms) {
  const auto hash = parse_hash_key(expiring);
  const auto trace = transaction.get(expiring, decode_trace);
  if (trace && trace->until_ms > now_ms) {
    return;  // its message, freed just now, has left a new one
  }
  if (hash && trace) {
    transaction.totals().bytes_used -= trace_bytes(hash->size(), trace->history.steps().size());
  }
  transaction.erase(expiring);
  transaction.erase(key);
}

void reclaim_marks(Transaction& transaction, std::string_view key, std::string_view expiring) {
  if (const auto account = parse_mark_key(expiring)) {
    AccountChange(transaction, *account, 0).count_mark(false);
  }
  transaction.erase(expiring);
  transaction.erase(key);
}

}  // namespace

ReclaimedPiece reclaim_piece(Transaction& transaction, std::uint64_t now_ms, std::string from) {
  if (from.empty()) {
    from = start_of_points(Kind::expiry, 0);
  }
  ReclaimedPiece piece;
  const auto entries =
      transaction.scan(from, end_of_points(Kind::expiry, now_ms), kReclaimPieceMax);
  for (const auto& [key, value] : entries) {
    const auto entry = parse_expiry_key(key);
    const auto kind = entry ? kind_of(entry->expiring) : std::nullopt;
    if (kind == Kind::header) {
      piece.messages += reclaim_message(transaction, entry->expiring, now_ms) ? 1U : 0U;
    } else if (kind == Kind::trace) {
      reclaim_trace(transaction, key, entry->expiring, now_ms);
    } else if (kind == Kind::removal_marks || kind == Kind::shorten_marks) {
      reclaim_marks(transaction, key, entry->expiring);
      transaction.totals().bytes_used -= kMarksBytes;
    } else if (kind == Kind::outbox_marks) {
      reclaim_marks(transaction, key, entry->expiring);
      transaction.totals().bytes_used -= kOutboxMarkBytes;
    } else if (kind == Kind::revocation) {
      transaction.erase(entry->expiring);
      transaction.erase(key);
      transaction.totals().bytes_used -= kRevocationBytes;
    }
  }
  if (entries.size() == kReclaimPieceMax) {
    piece.next = entries.back().first + '\0';
  }
  return piece;
}

}  // namespace allium::storage::internal
