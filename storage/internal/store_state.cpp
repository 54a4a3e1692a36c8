// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/store_state.hpp"

#include <utility>

#include "storage/stored_bytes.hpp"

namespace allium::storage {
namespace {

Error broken_error() {
  return {Errc::io,
          "the message store refuses changes since a write failed: see to the disk, start again"};
}

}  // namespace

RocksStore::State::State(const RocksStoreOptions& options, std::unique_ptr<rocksdb::Env> env,
                         std::unique_ptr<rocksdb::DB> database, const internal::Totals& totals)
    : options_(options),
      env_(std::move(env)),
      database_(std::move(database)),
      totals_(totals),
      queue_({options.queue_changes_max, options.queue_bytes_max, options.batch_changes_max,
              options.batch_bytes_max},
             [this](internal::Changes batch) { return commit(std::move(batch)); }) {}

void RocksStore::State::submit(std::unique_ptr<internal::Change> change) {
  if (const auto refused = queue_.push(std::move(change))) {
    refused->finish(Error{Errc::unavailable, "the message store is busy: try again"});
  }
}

internal::Changes RocksStore::State::commit(internal::Changes batch) {
  std::vector<std::optional<Error>> errors(batch.size());
  std::optional<Error> failure;
  {
    // The writer's thread is the only one that changes these two.
    internal::Transaction transaction(*database_, totals_);
    if (is_broken_) {
      failure = broken_error();
    }
    for (std::size_t i = 0; i < batch.size() && !failure; ++i) {
      transaction.begin_change();
      batch[i]->apply(transaction);
      errors[i] = transaction.end_change(batch[i]->bytes_allowed());
    }
    if (!failure) {
      if (auto written = transaction.commit(); !written) {
        failure = std::move(written.error());
      }
    }
    const std::lock_guard lock(mutex_);
    is_broken_ = failure.has_value();
    if (!failure) {
      totals_ = transaction.totals();
    }
  }
  internal::Changes again;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!batch[i]->finish(failure ? failure : std::move(errors[i]))) {
      again.push_back(std::move(batch[i]));
    }
  }
  return again;
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
  return status;
}

}  // namespace allium::storage
