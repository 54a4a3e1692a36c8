// SPDX-License-Identifier: Apache-2.0
#pragma once

// No log file of RocksDB's own. It would lie beside the store, where it names keys, which are accounts; and on a disk that is full, where
// RocksDB 7.8 ends the process by an assertion with the line after one that it could not write. What goes wrong is in our errors.

#include <cstdarg>

#include <rocksdb/env.h>

namespace allium::storage::internal {

class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;

  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace allium::storage::internal
