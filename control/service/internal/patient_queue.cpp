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
  absent_.queue(last_, records,
                while_alive(is_alive_, [this, key = last_, count = records.size()](bool is_queued) {
                  if (is_queued) {
                    absent_.set_behind(key);
                  }
                  const bool is_over = is_queued || around_.membership.find(key) == nullptr;
                  if (is_over) {
                    queued(key, count);
                    return;
                  }
                  around_.transport.after(kPatientRetryMs, while_alive(is_alive_, [this] {
                                            is_busy_ = false;
                                            go_on();
                                          }));
                }));
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
