// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is behind a RocksStore: the database, the totals, and the writer.
//
//   Threads    `database` from any; the totals under their mutex, written by the writer's thread alone.

#include <memory>
#include <mutex>

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include "storage/internal/writer_queue.hpp"
#include "storage/rocks_store.hpp"

namespace allium::storage {

class RocksStore::State {
 public:
  State(const RocksStoreOptions& options, std::unique_ptr<rocksdb::Env> env,
        std::unique_ptr<rocksdb::DB> database, const internal::Totals& totals);

  void submit(std::unique_ptr<internal::Change> change);

  [[nodiscard]] rocksdb::DB& database() const noexcept { return *database_; }

  [[nodiscard]] const RocksStoreOptions& options() const noexcept { return options_; }

  [[nodiscard]] StoreStatus status() const;

 private:
  internal::Changes commit(internal::Changes batch);

  const RocksStoreOptions options_;
  std::unique_ptr<rocksdb::Env> env_;  ///< none: the machine's
  std::unique_ptr<rocksdb::DB> database_;
  mutable std::mutex mutex_;
  internal::Totals totals_;
  bool is_broken_ = false;
  internal::WriterQueue queue_;  ///< last: its thread uses all of the above
};

}  // namespace allium::storage
