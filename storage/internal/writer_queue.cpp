// SPDX-License-Identifier: Apache-2.0
#include "storage/internal/writer_queue.hpp"

#include <utility>

namespace allium::storage::internal {

WriterQueue::WriterQueue(const WriterQueueLimits& limits, BatchWriter& writer)
    : limits_(limits),
      writer_(writer),
      applying_([this] { run_applying(); }),
      writing_([this] { run_writing(); }) {}

WriterQueue::~WriterQueue() {
  {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  is_wanted_.notify_one();
  applying_.join();
  writing_.join();
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

// ---- the applying thread ----

bool WriterQueue::is_full() const {
  return filled_->is_sealed || filled_->changes.size() >= limits_.batch_changes_max ||
         (!queue_.empty() && filled_->bytes + queue_.front()->bytes() > limits_.batch_bytes_max);
}

bool WriterQueue::is_to_apply() const {
  return !queue_.empty() && (filled_ == nullptr || !is_full());
}

// A full batch is made ready to be written while the one before it is on its way to the disk.
bool WriterQueue::is_to_seal() const {
  return filled_ != nullptr && !filled_->is_sealed &&
         (is_full() || (queue_.empty() && written_ == nullptr));
}

bool WriterQueue::is_to_hand_over() const {
  return filled_ != nullptr && filled_->is_sealed && written_ == nullptr;
}

void WriterQueue::wait_for_work(Lock& lock) {
  is_wanted_.wait_for(lock, limits_.idle_max, [this] {
    return is_to_hand_over() || is_to_seal() || is_to_apply() ||
           (is_closing_ && filled_ == nullptr && written_ == nullptr);
  });
}

void WriterQueue::run_applying() {
  Lock lock(mutex_);
  for (;;) {
    wait_for_work(lock);
    if (is_to_hand_over()) {
      hand_over();
    } else if (is_to_seal()) {
      seal(lock);
    } else if (is_to_apply()) {
      apply_next(lock);
    } else if (filled_ == nullptr && written_ == nullptr) {
      if (is_closing_) {
        break;
      }
      if (has_failed_) {
        static_cast<void>(recover(lock));
      }
    }
  }
  is_over_ = true;
  is_given_.notify_one();
}

void WriterQueue::seal(Lock& lock) {
  lock.unlock();
  filled_->transaction->seal();
  lock.lock();
  filled_->is_sealed = true;
}

void WriterQueue::hand_over() {
  written_ = std::move(filled_);
  is_given_.notify_one();
}

Result<void> WriterQueue::recover(Lock& lock) {
  lock.unlock();
  auto recovered = writer_.recover();
  lock.lock();
  has_failed_ = !recovered.has_value();
  return recovered;
}

Result<void> WriterQueue::begin(Lock& lock) {
  if (has_failed_) {
    is_wanted_.wait(lock, [this] { return written_ == nullptr; });
    if (auto recovered = recover(lock); !recovered) {
      return recovered;
    }
  }
  filled_ = std::make_unique<Batch>();
  filled_->transaction = writer_.begin(written_ == nullptr ? nullptr : written_->transaction.get());
  return {};
}

void WriterQueue::apply_next(Lock& lock) {
  std::unique_ptr<Change> change = std::move(queue_.front());
  queue_.pop_front();
  const std::size_t bytes = change->bytes();
  queue_bytes_ -= bytes;
  if (filled_ == nullptr) {
    if (const auto begun = begin(lock); !begun) {
      lock.unlock();
      const bool is_finished = change->finish(begun.error());
      lock.lock();
      if (!is_finished) {
        queue_again(std::move(change));
      }
      return;
    }
  }
  Batch& batch = *filled_;
  lock.unlock();
  batch.transaction->begin_change();
  change->apply(*batch.transaction);
  batch.errors.push_back(batch.transaction->end_change(change->bytes_allowed()));
  batch.changes.push_back(std::move(change));
  batch.bytes += bytes;
  lock.lock();
}

void WriterQueue::queue_again(std::unique_ptr<Change> change) {
  queue_bytes_ += change->bytes();
  queue_.push_back(std::move(change));
}

// ---- the writing thread ----

void WriterQueue::run_writing() {
  Lock lock(mutex_);
  for (;;) {
    is_given_.wait(lock, [this] { return written_ != nullptr || is_over_; });
    if (written_ == nullptr) {
      return;
    }
    Batch& batch = *written_;
    lock.unlock();
    if (!batch.failure) {
      if (const auto written = writer_.write(*batch.transaction); !written) {
        batch.failure = written.error();
      }
    }
    // Before anybody hears of it: what he asks for then is not to be applied behind what failed.
    lock.lock();
    if (batch.failure) {
      has_failed_ = true;
      if (filled_ != nullptr) {
        filled_->failure = batch.failure;
      }
    }
    lock.unlock();
    Changes again = finish(batch);
    lock.lock();
    for (std::unique_ptr<Change>& change : again) {
      queue_again(std::move(change));
    }
    std::unique_ptr<Batch> written = std::move(written_);
    is_wanted_.notify_one();
    // Its memory, thousands of pieces, is given back while nobody waits for it.
    lock.unlock();
    written.reset();
    lock.lock();
  }
}

Changes WriterQueue::finish(Batch& batch) {
  Changes again;
  for (std::size_t i = 0; i < batch.changes.size(); ++i) {
    if (!batch.changes[i]->finish(batch.failure ? batch.failure : std::move(batch.errors[i]))) {
      again.push_back(std::move(batch.changes[i]));
    }
  }
  return again;
}

}  // namespace allium::storage::internal
