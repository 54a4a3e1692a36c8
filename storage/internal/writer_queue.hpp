// SPDX-License-Identifier: Apache-2.0
#pragma once

// The queue of changes and the one thread that carries them out, in batches: everything that arrives while a batch
// is being synced goes into the next one.
//
//   Ownership  owns the changes from push() on, and the thread.
//   Threads    push() from any. Commit runs on the queue's thread. The destructor lets the thread finish what is queued.
//   Limits     WriterQueueLimits. A change that was not finished goes to the end again, beyond the limits.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

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

class WriterQueue {
 public:
  /// Carries a batch out and gives back what is to be queued again. An empty one: nothing came for WriterQueueLimits::idle_max.
  using Commit = std::function<Changes(Changes)>;

  WriterQueue(const WriterQueueLimits& limits, Commit commit);
  WriterQueue(const WriterQueue&) = delete;
  WriterQueue& operator=(const WriterQueue&) = delete;
  ~WriterQueue();

  /// Gives the change back where the queue is full.
  [[nodiscard]] std::unique_ptr<Change> push(std::unique_ptr<Change> change);

 private:
  void run();
  /// nullopt: it is closing, and all is done.
  [[nodiscard]] std::optional<Changes> take_batch();

  const WriterQueueLimits limits_;
  const Commit commit_;
  std::mutex mutex_;
  std::condition_variable is_wanted_;
  std::deque<std::unique_ptr<Change>> queue_;
  std::size_t queue_bytes_ = 0;
  bool is_closing_ = false;
  std::thread thread_;
};

}  // namespace allium::storage::internal
