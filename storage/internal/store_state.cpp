// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/store_state.hpp"

#include <utility>

#include <rocksdb/perf_level.h>

#include "storage/internal/disk_room.hpp"
#include "storage/internal/free_descriptors.hpp"
#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

using internal::Lack;

constexpr std::chrono::seconds kCloseMax{1};

Error broken_error(Lack lack) {
  if (lack == Lack::room) {
    return {
        Errc::io,
        "the message store refuses changes since its disk was full: make room, it then goes on by "
        "itself"};
  }
  if (lack == Lack::descriptors) {
    return {Errc::io,
            "the message store refuses changes since it had no descriptors for its files: it goes "
            "on by itself when there are some again"};
  }
  return {Errc::io,
          "the message store refuses changes since a write failed: see to the disk, start again"};
}

}  // namespace

RocksStore::State::State(const RocksStoreOptions& options, std::unique_ptr<rocksdb::Env> env,
                         internal::OpenedDatabase opened, Open open_again)
    : options_(options),
      env_(std::move(env)),
      open_again_(std::move(open_again)),
      database_(shared(std::move(opened.database))),
      totals_(opened.totals),
      queue_({options.queue_changes_max, options.queue_bytes_max, options.batch_changes_max,
              options.batch_bytes_max, options.room_interval},
             *this) {
  database_->GetDbIdentity(id_).PermitUncheckedError();
}

void RocksStore::State::submit(std::unique_ptr<internal::Change> change) {
  if (const auto refused = queue_.push(std::move(change))) {
    refused->finish(Error{Errc::unavailable, "the message store is busy: try again"});
  }
}

std::shared_ptr<rocksdb::DB> RocksStore::State::database() const {
  const std::lock_guard lock(mutex_);
  return database_;
}

std::unique_ptr<internal::Transaction> RocksStore::State::begin(
    const internal::Transaction* before) {
  // Nobody reads RocksDB's own counts of this thread.
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  if (before != nullptr) {
    return internal::Transaction::behind(*before);
  }
  const std::lock_guard lock(mutex_);
  return std::make_unique<internal::Transaction>(*database_, totals_);
}

Result<void> RocksStore::State::write(internal::Transaction& transaction) {
  rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
  auto written = transaction.commit();
  const std::lock_guard lock(mutex_);
  if (written) {
    totals_ = transaction.totals();
  } else {
    is_broken_ = true;
    lack_ = transaction.lack();
  }
  return written;
}

Result<void> RocksStore::State::recover() {
  if (lack_ != Lack::nothing) {
    open_again();
  }
  if (is_broken_) {
    return tl::unexpected(broken_error(lack_));
  }
  return {};
}

std::shared_ptr<rocksdb::DB> RocksStore::State::shared(std::unique_ptr<rocksdb::DB> database) {
  const auto closed = std::make_shared<std::promise<void>>();
  closed_ = closed->get_future();
  return {database.release(), [closed](rocksdb::DB* last) {
            delete last;
            closed->set_value();
          }};
}

bool RocksStore::State::has_room() const {
  const auto free = internal::bytes_free(env_.get(), options_.directory);
  return !free || *free >= internal::bytes_to_open(options_.directory);
}

void RocksStore::State::open_again() {
  // Reads go on until there is room, and until files can be opened.
  const auto now = std::chrono::steady_clock::now();
  if (now < looks_again_ || !has_room()) {
    return;
  }
  looks_again_ = now + options_.room_interval;
  // Not with every change that comes meanwhile: for a moment it takes what others want.
  if (!internal::can_open_files()) {
    return;
  }
  std::shared_ptr<rocksdb::DB> before;
  {
    const std::lock_guard lock(mutex_);
    before = std::move(database_);
  }
  before.reset();
  if (closed_.wait_for(kCloseMax) != std::future_status::ready) {
    return;  // somebody reads for long: the next time
  }
  auto opened = open_again_();
  std::shared_ptr<rocksdb::DB> database = opened ? shared(std::move(opened->database)) : nullptr;
  const std::lock_guard lock(mutex_);
  if (!opened) {
    reopen_problem_ = opened.error().text;
    return;
  }
  database_ = std::move(database);
  totals_ = opened->totals;
  reopen_problem_.clear();
  is_broken_ = false;
  lack_ = Lack::nothing;
}

StoreDisk RocksStore::State::disk() const {
  StoreDisk disk;
  disk.bytes_free = internal::bytes_free(env_.get(), options_.directory);
  disk.bytes_to_open = internal::bytes_to_open(options_.directory);
  const std::lock_guard lock(mutex_);
  disk.bytes_wanted = internal::disk_bytes_wanted(totals_.bytes_used, options_.bytes_limit);
  disk.is_nearly_full = disk.bytes_free && *disk.bytes_free < disk.bytes_wanted;
  disk.is_broken = is_broken_;
  disk.waits_for_room = lack_ == Lack::room;
  disk.waits_for_descriptors = lack_ == Lack::descriptors;
  disk.problem = reopen_problem_;
  return disk;
}

StoreStatus RocksStore::State::status() const {
  const std::lock_guard lock(mutex_);
  StoreStatus status;
  status.messages = totals_.messages;
  status.accounts = totals_.accounts;
  status.bytes_used = totals_.bytes_used;
  status.bytes_limit = options_.bytes_limit;
  status.is_nearly_full = is_nearly_full(totals_.bytes_used, options_.bytes_limit);
  status.is_broken = is_broken_;
  status.latest_asked = totals_.latest_asked;
  return status;
}

}  // namespace allium::storage
