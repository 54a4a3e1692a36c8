// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/missed_queue.hpp"

#include "storage/stored_bytes.hpp"

namespace allium::storage::internal {

std::uint64_t enqueue_missed(Transaction& transaction, const PeerKey& peer,
                             const std::vector<std::string>& records) {
  std::uint64_t last = 0;
  for (const std::string& record : records) {
    last = transaction.totals().next_sequence++;
    transaction.put(missed_key(peer, last), encode_bytes(record));
    transaction.totals().bytes_used += kMissedBytes + record.size();
  }
  return last;
}

std::size_t drop_missed(Transaction& transaction, const PeerKey& peer, std::uint64_t number) {
  std::size_t count = 0;
  const std::string end = end_of_prefix(missed_key(peer, number));
  for (const auto& [key, value] : transaction.scan(missed_prefix(peer), end, SIZE_MAX)) {
    const auto record = transaction.decoded(decode_bytes(value));
    transaction.erase(key);
    transaction.totals().bytes_used -= kMissedBytes + (record ? record->size() : 0);
    ++count;
  }
  return count;
}

std::size_t erase_missed(Transaction& transaction, const PeerKey& peer,
                         const std::vector<std::uint64_t>& numbers) {
  std::size_t count = 0;
  for (const std::uint64_t number : numbers) {
    const std::string key = missed_key(peer, number);
    if (const auto record = transaction.get(key, decode_bytes)) {
      transaction.erase(key);
      transaction.totals().bytes_used -= kMissedBytes + record->size();
      ++count;
    }
  }
  return count;
}

}  // namespace allium::storage::internal
