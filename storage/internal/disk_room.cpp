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

bool is_log(const std::filesystem::path& file) {
  return file.extension() == ".log";
}

// What is written besides the logs' contents: a manifest, a new log, the tables' indices.
constexpr std::uint64_t kOpeningBytes = std::uint64_t{16} << 20;

bool is_manifest(const std::filesystem::path& file) {
  return file.filename().string().rfind("MANIFEST-", 0) == 0;
}

std::uint64_t bytes_of_files(const std::string& directory,
                             bool (*is_one)(const std::filesystem::path&)) {
  std::uint64_t sum = 0;
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    std::error_code has_gone;  // RocksDB may be at work there
    const std::uint64_t bytes = is_one(entry->path()) ? entry->file_size(has_gone) : 0;
    sum += has_gone ? 0 : bytes;
    entry.increment(error);
  }
  return sum;
}

}  // namespace

std::optional<std::uint64_t> bytes_free(rocksdb::Env* env, const std::string& directory) {
  std::uint64_t bytes = 0;
  const rocksdb::Status status =
      (env == nullptr ? rocksdb::Env::Default() : env)->GetFreeSpace(directory, &bytes);
  return status.ok() ? std::optional(bytes) : std::nullopt;
}

std::uint64_t bytes_to_open(const std::string& directory) {
  return std::max(2 * kOpeningBytes, bytes_of_files(directory, is_log) + kOpeningBytes);
}

std::uint64_t bytes_to_back_up(const std::string& directory) {
  return 2 * bytes_to_open(directory) + bytes_of_files(directory, is_manifest);
}

std::uint64_t disk_bytes_wanted(std::uint64_t used, std::uint64_t limit) noexcept {
  return kDiskFloorBytes + (limit > used ? (limit - used) / 10 : 0);
}

}  // namespace allium::storage::internal
