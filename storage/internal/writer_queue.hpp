// SPDX-License-Identifier: Apache-2.0
#pragma once

// The queue of changes and the two threads that carry them out: one applies them to a batch, in order, the other writes a batch and
// says to each change how it went. The first goes on while the second waits for the disk; it hands over when the second has nothing to
// do and no more changes have come, or the batch is full.
//
//   Ownership  owns the changes from push() on, and the threads.
//   Threads    push() from any; BatchWriter says which of the two calls what. The destructor lets them finish what is queued.
//   Limits     WriterQueueLimits; of batches one that is filled and one that is written. A change that was not finished goes to the end
//              again, beyond the limits.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "storage/internal/transaction.hpp"

namespace allium::storage::internal {

class Change {
 public:
  Change() = default;
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  virtual ~Change() = default;

  /// About how much it holds, for the limits.
  [[nodiscard]] virtual std::size_t bytes() const = 0;
  /// Up to where it may fill the store.
  [[nodiscard]] virtual std::uint64_t bytes_allowed() const = 0;
  virtual void apply(Transaction& transaction) = 0;
  /// After the sync, or with what went wrong. Gives whether it is finished; otherwise it is to be queued again.
  virtual bool finish(std::optional<Error> error) = 0;
};

using Changes = std::vector<std::unique_ptr<Change>>;

struct WriterQueueLimits {
  std::size_t queue_changes_max = 0;
  std::size_t queue_bytes_max = 0;
  std::size_t batch_changes_max = 0;
  std::size_t batch_bytes_max = 0;
  std::chrono::milliseconds idle_max{};
};

/// Where batches go.
class BatchWriter {
 public:
  virtual ~BatchWriter() = default;

  /// An empty batch behind all that were written, and behind `before`, which is being written, if there is one. The applying thread.
  virtual std::unique_ptr<Transaction> begin(const Transaction* before) = 0;

  /// Writes it, and waits until it is on disk. The writing thread.
  virtual Result<void> write(Transaction& transaction) = 0;

  /// After a write that failed: before the next begin(), and every WriterQueueLimits::idle_max while nothing comes. Whether it can go on, or
  /// why not. Nothing is being written then, and there is no batch. The applying thread.
  virtual Result<void> recover() = 0;
};

class WriterQueue {
 public:
  WriterQueue(const WriterQueueLimits& limits, BatchWriter& writer);
  WriterQueue(const WriterQueue&) = delete;
  WriterQueue& operator=(const WriterQueue&) = delete;
  ~WriterQueue();

  /// Gives the change back where the queue is full.
  [[nodiscard]] std::unique_ptr<Change> push(std::unique_ptr<Change> change);

 private:
  using Lock = std::unique_lock<std::mutex>;

  struct Batch {
    std::unique_ptr<Transaction> transaction;
    Changes changes;
    std::vector<std::optional<Error>> errors;  ///< of each change
    std::size_t bytes = 0;
    bool is_sealed = false;
    std::optional<Error> failure;  ///< its own, or of the batch that it was applied behind
  };

  void run_applying();
  void run_writing();
  void wait_for_work(Lock& lock);
  [[nodiscard]] bool is_full() const;
  [[nodiscard]] bool is_to_apply() const;
  [[nodiscard]] bool is_to_seal() const;
  [[nodiscard]] bool is_to_hand_over() const;
  void seal(Lock& lock);
  void hand_over();
  void apply_next(Lock& lock);
  [[nodiscard]] Result<void> begin(Lock& lock);
  Result<void> recover(Lock& lock);
  [[nodiscard]] static Changes finish(Batch& batch);
  void queue_again(std::unique_ptr<Change> change);

  const WriterQueueLimits limits_;
  BatchWriter& writer_;
  std::mutex mutex_;
  std::condition_variable is_wanted_;  ///< the applying thread
  std::condition_variable is_given_;   ///< the writing thread
  std::deque<std::unique_ptr<Change>> queue_;
  std::size_t queue_bytes_ = 0;
  std::unique_ptr<Batch> filled_;   ///< the applying thread's
  std::unique_ptr<Batch> written_;  ///< handed over, and not yet through
  bool has_failed_ = false;         ///< a write, and nothing has recovered since
  bool is_closing_ = false;
  bool is_over_ = false;  ///< nothing is handed over any more
  std::thread applying_;
  std::thread writing_;
};

}  // namespace allium::storage::internal
