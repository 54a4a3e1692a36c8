// SPDX-License-Identifier: Apache-2.0
#pragma once

// RocksDB's Status as our Error. The only place that knows both.

#include <cstdint>
#include <string_view>

#include <rocksdb/status.h>

#include "crypto_accel/base/result.hpp"

namespace allium::storage::internal {

/// `doing`: what was tried, for the text. Requires: !status.ok().
[[nodiscard]] Error error_of(const rocksdb::Status& status, std::string_view doing);

/// What a write may lack that comes back without anybody seeing to the disk.
enum class Lack : std::uint8_t { nothing, room, descriptors };

[[nodiscard]] Lack lack_of(const rocksdb::Status& status);

/// There is no database for a moment.
[[nodiscard]] Error opening_again();

}  // namespace allium::storage::internal
