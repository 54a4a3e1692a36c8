// SPDX-License-Identifier: Apache-2.0
#pragma once

// What is behind a RocksStore: the database, the totals, and the writer.
//
// A store whose disk was full, or that could open no file, closes its database and opens it anew as soon as that is over, as a process that starts again does:
// the log is read up to where a write was torn, and a new one begun. One way of recovery, which the tests of kills and power cuts
// prove as well; what a database that was told to go on (rocksdb::DB::Resume()) makes of a torn log would be a second one.
//
//   Ownership  readers share the database: it is closed when the last one lets go.
//   Threads    any; database and totals under their mutex, changed by the queue's threads alone, and by one at a time.

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/env.h>

#include "storage/internal/writer_queue.hpp"
#include "storage/rocks_store.hpp"

namespace allium::storage {
namespace internal {

struct OpenedDatabase {
  std::unique_ptr<rocksdb::DB> database;
  Totals totals;
};

}  // namespace internal

class RocksStore::State final : private internal::BatchWriter {
 public:
  using Open = std::function<Result<internal::OpenedDatabase>()>;

  State(const RocksStoreOptions& options, std::unique_ptr<rocksdb::Env> env,
        internal::OpenedDatabase opened, Open open_again);

  void submit(std::unique_ptr<internal::Change> change);

  /// Null while it is being opened again.
  [[nodiscard]] std::shared_ptr<rocksdb::DB> database() const;

  [[nodiscard]] const std::string& id() const noexcept { return id_; }

  [[nodiscard]] const RocksStoreOptions& options() const noexcept { return options_; }

  [[nodiscard]] StoreStatus status() const;
  [[nodiscard]] StoreDisk disk() const;

 private:
  std::unique_ptr<internal::Transaction> begin(const internal::Transaction* before) override;
  Result<void> write(internal::Transaction& transaction) override;
  Result<void> recover() override;
  void open_again();
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] std::shared_ptr<rocksdb::DB> shared(std::unique_ptr<rocksdb::DB> database);

  const RocksStoreOptions options_;
  std::unique_ptr<rocksdb::Env> env_;  ///< none: the machine's
  const Open open_again_;
  std::string id_;
  std::future<void>
      closed_;  ///< ready when the database that was shared last is closed; recover()'s alone
  std::chrono::steady_clock::time_point looks_again_;  ///< recover()'s alone
  mutable std::mutex mutex_;
  std::shared_ptr<rocksdb::DB> database_;
  internal::Totals totals_;
  bool is_broken_ = false;
  internal::Lack lack_ = internal::Lack::nothing;  ///< where is_broken_: what it waits for
  std::string reopen_problem_;
  internal::WriterQueue queue_;  ///< last: its threads use all of the above
};

}  // namespace allium::storage
