// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/writer_queue.hpp"

namespace allium::storage::internal {

WriterQueue::WriterQueue(const WriterQueueLimits& limits, Commit commit)
    : limits_(limits), commit_(std::move(commit)), thread_([this] { run(); }) {}

WriterQueue::~WriterQueue() {
  {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  is_wanted_.notify_one();
  thread_.join();
}

std::unique_ptr<Change> WriterQueue::push(std::unique_ptr<Change> change) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t bytes = change->bytes();
    // One that is larger than the queue goes in alone: it would never fit otherwise.
    if (queue_.size() >= limits_.queue_changes_max ||
        (!queue_.empty() && queue_bytes_ + bytes > limits_.queue_bytes_max)) {
      return change;
    }
    queue_bytes_ += bytes;
    queue_.push_back(std::move(change));
  }
  is_wanted_.notify_one();
  return nullptr;
}

std::optional<Changes> WriterQueue::take_batch() {
  std::unique_lock lock(mutex_);
  is_wanted_.wait_for(lock, limits_.idle_max, [this] { return is_closing_ || !queue_.empty(); });
  if (is_closing_ && queue_.empty()) {
    return std::nullopt;
  }
  Changes batch;
  std::size_t batch_bytes = 0;
  while (!queue_.empty() && batch.size() < limits_.batch_changes_max) {
    const std::size_t bytes = queue_.front()->bytes();
    if (!batch.empty() && batch_bytes + bytes > limits_.batch_bytes_max) {
      break;
    }
    batch_bytes += bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= batch_bytes;
  return batch;
}

void WriterQueue::run() {
  while (auto batch = take_batch()) {
    Changes again = commit_(*std::move(batch));
    const std::lock_guard lock(mutex_);
    for (auto& change : again) {
      queue_bytes_ += change->bytes();
      queue_.push_back(std::move(change));
    }
  }
}

}  // namespace allium::storage::internal
