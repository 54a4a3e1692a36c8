// SPDX-License-Identifier: Apache-2.0

// What other members missed, in MemoryStore.

#include <mutex>
#include <utility>

#include "storage/memory_store.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {

void MemoryStore::enqueue_missed(const PeerKey& peer, std::vector<std::string> records,
                                 Done<std::uint64_t> done) {
  Result<std::uint64_t> last = 0;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t bytes = bytes_used_;
    for (const std::string& record : records) {
      bytes += kMissedBytes + record.size();
    }
    if (!records.empty() && bytes > with_reserve()) {
      last = fail(Errc::full, kFullText);
      records.clear();
      bytes = bytes_used_;
    }
    for (std::string& record : records) {
      last = next_order_++;
      missed_[peer].emplace(*last, std::move(record));
    }
    bytes_used_ = bytes;
  }
  done(std::move(last));
}

void MemoryStore::drop_missed(const PeerKey& peer, std::uint64_t number, Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto queue = missed_.find(peer);
    if (queue != missed_.end()) {
      count = std::erase_if(queue->second, [&](const auto& record) {
        bytes_used_ -= record.first <= number ? kMissedBytes + record.second.size() : 0;
        return record.first <= number;
      });
      if (queue->second.empty()) {
        missed_.erase(queue);
      }
    }
  }
  done(count);
}

void MemoryStore::erase_missed(const PeerKey& peer, std::vector<std::uint64_t> numbers,
                               Done<std::size_t> done) {
  std::size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t number : numbers) {
      const auto queue = missed_.find(peer);
      const auto record =
          queue == missed_.end() ? decltype(queue->second.end()){} : queue->second.find(number);
      if (queue == missed_.end() || record == queue->second.end()) {
        continue;
      }
      bytes_used_ -= kMissedBytes + record->second.size();
      queue->second.erase(record);
      ++count;
      if (queue->second.empty()) {
        missed_.erase(queue);
      }
    }
  }
  done(count);
}

Result<std::vector<Missed>> MemoryStore::missed(const PeerKey& peer, std::uint64_t after,
                                                std::size_t bytes_max) const {
  const std::lock_guard lock(mutex_);
  std::vector<Missed> records;
  const auto queue = missed_.find(peer);
  if (queue == missed_.end()) {
    return records;
  }
  std::size_t bytes = 0;
  for (auto it = queue->second.upper_bound(after); it != queue->second.end(); ++it) {
    bytes += it->second.size();
    if (bytes > bytes_max && !records.empty()) {
      break;
    }
    records.push_back({it->first, it->second});
  }
  return records;
}

Result<std::vector<PeerKey>> MemoryStore::peers_with_missed() const {
  const std::lock_guard lock(mutex_);
  std::vector<PeerKey> peers;
  for (const auto& [peer, queue] : missed_) {
    peers.push_back(peer);
  }
  return peers;
}

}  // namespace allium::storage
