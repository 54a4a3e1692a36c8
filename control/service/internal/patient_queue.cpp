// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/patient_queue.hpp"

#include <utility>
#include <vector>

#include "control/service/internal/callbacks.hpp"

namespace allium::control::internal {

void PatientQueue::add(const NodeKey& key, std::string record) {
  if (bytes_ + record.size() > kPatientBytesMax) {
    ++counters_.lost_records;
    return;
  }
  bytes_ += record.size();
  waiting_[key].push_back(std::move(record));
  go_on();
}

void PatientQueue::go_on() {
  if (is_busy_ || waiting_.empty()) {
    return;
  }
  auto next = waiting_.upper_bound(last_);
  if (next == waiting_.end()) {
    next = waiting_.begin();
  }
  last_ = next->first;
  std::vector<std::string> records;
  for (std::size_t bytes = 0; records.size() < next->second.size() && bytes < kPatientBatchBytes;) {
    records.push_back(next->second[records.size()]);
    bytes += records.back().size();
  }
  is_busy_ = true;
  auto done = [this, key = last_, count = records.size()](bool is_queued) {
    if (is_queued || (key != kBegunQueue && !around_.membership.find(key))) {
      queued(key, count);
      return;
    }
    around_.transport.after(kPatientRetryMs, while_alive(is_alive_, [this] {
                              is_busy_ = false;
                              go_on();
                            }));
  };
  queue(last_, std::move(records), while_alive(is_alive_, std::move(done)));
}

void PatientQueue::queue(const NodeKey& key, std::vector<std::string> records,
                         std::function<void(bool)> done) {
  if (key != kBegunQueue) {
    absent_.queue(key, std::move(records), [this, key, done = std::move(done)](bool is_queued) {
      if (is_queued) {
        absent_.set_behind(key);
      }
      done(is_queued);
    });
    return;
  }
  auto posted = while_alive(is_alive_, [this, done = std::move(done)](bool is_queued) {
    if (is_queued) {
      begun_();
    }
    done(is_queued);
  });
  around_.store.enqueue_missed(
      key, std::move(records), [post = around_.post, posted](const Result<std::uint64_t>& number) {
        post([posted, is_queued = number.has_value()]() mutable { posted(is_queued); });
      });
}

void PatientQueue::queued(const NodeKey& key, std::size_t count) {
  std::deque<std::string>& records = waiting_[key];
  for (std::size_t i = 0; i < count; ++i) {
    bytes_ -= records.front().size();
    records.pop_front();
  }
  if (records.empty()) {
    waiting_.erase(key);
  }
  is_busy_ = false;
  go_on();
}

}  // namespace allium::control::internal
