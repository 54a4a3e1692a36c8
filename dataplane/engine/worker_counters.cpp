// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/worker_counters.hpp"

#include <thread>

namespace allium::dataplane {
namespace {

using onion::Verdict;

void add_row(control_port::Counters& sum, std::size_t type,
             const std::array<std::uint64_t, onion::kVerdictCount>& row) noexcept {
  for (std::size_t v = 0; v < onion::kVerdictCount; ++v) {
    sum.by_type[type][v] += row[v];
    const auto verdict = static_cast<Verdict>(v);
    if (verdict == Verdict::forward) {
      sum.forwarded += row[v];
    } else if (verdict == Verdict::deliver) {
      sum.delivered += row[v];
    } else if (onion::is_drop(verdict)) {
      sum.verdicts[v] += row[v];
    }
  }
}

}  // namespace

void WorkerCounters::sum_into(control_port::Counters& sum) const noexcept {
  std::array<std::array<std::uint64_t, onion::kVerdictCount>, 8> rows{};
  std::uint64_t received = 0;
  std::uint64_t not_onion = 0;
  std::uint64_t answers = 0;
  std::uint64_t challenges = 0;
  std::uint64_t parked = 0;
  for (;;) {
    const std::uint64_t before = version_.load(std::memory_order_acquire);
    received = received_.load(std::memory_order_relaxed);
    not_onion = not_onion_.load(std::memory_order_relaxed);
    answers = answers_.load(std::memory_order_relaxed);
    challenges = challenges_.load(std::memory_order_relaxed);
    parked = parked_.load(std::memory_order_relaxed);
    for (std::size_t type = 0; type < rows.size(); ++type) {
      for (std::size_t v = 0; v < onion::kVerdictCount; ++v) {
        rows[type][v] = by_type_[type][v].load(std::memory_order_relaxed);
      }
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) {
      break;
    }
    std::this_thread::yield();
  }
  sum.received += received;
  sum.not_onion += not_onion;
  sum.answers += answers;
  sum.challenges += challenges;
  sum.parked += parked;
  std::uint64_t forwarded = sum.forwarded;
  for (std::size_t type = 0; type < rows.size(); ++type) {
    add_row(sum, type, rows[type]);
  }
  forwarded = sum.forwarded - forwarded;
  sum.sent += forwarded + answers + challenges;
}

}  // namespace allium::dataplane
