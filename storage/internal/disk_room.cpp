// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/disk_room.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "storage/rocks_store.hpp"

namespace allium::storage::internal {
namespace {

// The log of up to 64 MiB, as much again while it is written to tables, and a compaction.
constexpr std::uint64_t kDiskFloorBytes = std::uint64_t{256} << 20;

}  // namespace

std::optional<std::uint64_t> bytes_free(rocksdb::Env* env, const std::string& directory) {
  std::uint64_t bytes = 0;
  const rocksdb::Status status =
      (env == nullptr ? rocksdb::Env::Default() : env)->GetFreeSpace(directory, &bytes);
  return status.ok() ? std::optional(bytes) : std::nullopt;
}

std::uint64_t bytes_to_open(const std::string& directory) {
  std::uint64_t log_bytes = 0;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    std::error_code has_gone;  // RocksDB may be at work there
    const std::uint64_t bytes =
        entry->path().extension() == ".log" ? entry->file_size(has_gone) : 0;
    log_bytes += has_gone ? 0 : bytes;
    entry.increment(error);
  }
  return std::max(std::uint64_t{2} * kWriteBufferBytes, log_bytes + kWriteBufferBytes);
}

std::uint64_t disk_bytes_wanted(std::uint64_t used, std::uint64_t limit) noexcept {
  return kDiskFloorBytes + (limit > used ? (limit - used) / 10 : 0);
}

}  // namespace allium::storage::internal
