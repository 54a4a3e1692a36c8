// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much room the store has on its disk, and how much it wants.
//
//   Threads    any.

#include <cstdint>
#include <optional>
#include <string>

#include <rocksdb/env.h>

namespace allium::storage::internal {

/// For users like this process; nullopt where the file system does not say. `env` none: the machine's.
[[nodiscard]] std::optional<std::uint64_t> bytes_free(rocksdb::Env* env,
                                                      const std::string& directory);

/// What opening may write: the logs are read, and what they hold is written to tables before they go. RocksDB aborts the process
/// where that finds no room.
[[nodiscard]] std::uint64_t bytes_to_open(const std::string& directory);

/// What a backup writes: copies of the logs and of the manifest, and as much again as the store should find beside it.
[[nodiscard]] std::uint64_t bytes_to_back_up(const std::string& directory);

/// With less than this it is time to make room: a tenth of what the store may still grow by, as is_nearly_full() has it, and what
/// its log and compactions take for a while.
[[nodiscard]] std::uint64_t disk_bytes_wanted(std::uint64_t used, std::uint64_t limit) noexcept;

}  // namespace allium::storage::internal
