// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/worker_counters.hpp"

#include <numeric>
#include <thread>

#include <gtest/gtest.h>

namespace allium::dataplane {
namespace {

using onion::Verdict;

std::uint64_t drops(const control_port::Counters& counters) {
  return std::accumulate(counters.verdicts.begin(), counters.verdicts.end(), std::uint64_t{0});
}

bool is_balanced(const control_port::Counters& counters) {
  return counters.received ==
             counters.forwarded + counters.delivered + drops(counters) + counters.parked &&
         counters.sent == counters.forwarded + counters.answers + counters.challenges;
}

TEST(WorkerCounters, SumUpByTypeAndVerdict) {
  WorkerCounters first;
  WorkerCounters second;
  first.add_received(4);
  first.add_verdicts(1, Verdict::forward, 1);
  first.add_verdicts(5, Verdict::deliver, 1);
  first.add_answers(1);
  first.add_verdicts(0, Verdict::version, 1);
  first.add_parked(1);
  second.add_received(2);
  second.add_verdicts(1, Verdict::forward, 1);
  second.add_verdicts(6, Verdict::cookie, 1);
  second.add_challenges(1);
  second.add_not_onion(3);

  control_port::Counters sum;
  first.sum_into(sum);
  second.sum_into(sum);
  EXPECT_EQ(sum.received, 6U);
  EXPECT_EQ(sum.forwarded, 2U);
  EXPECT_EQ(sum.delivered, 1U);
  EXPECT_EQ(sum.answers, 1U);
  EXPECT_EQ(sum.challenges, 1U);
  EXPECT_EQ(sum.sent, 4U);
  EXPECT_EQ(sum.parked, 1U);
  EXPECT_EQ(sum.not_onion, 3U);
  EXPECT_EQ(sum.verdicts[static_cast<std::size_t>(Verdict::version)], 1U);
  EXPECT_EQ(sum.by_type[6][static_cast<std::size_t>(Verdict::cookie)], 1U);
  EXPECT_EQ(sum.by_type[1][static_cast<std::size_t>(Verdict::forward)], 2U);
  EXPECT_TRUE(is_balanced(sum));
}

TEST(WorkerCounters, ParkedGoesUpAndDown) {
  WorkerCounters counters;
  counters.add_parked(3);
  counters.add_parked(-2);
  control_port::Counters sum;
  counters.sum_into(sum);
  EXPECT_EQ(sum.parked, 1U);
}

TEST(WorkerCounters, AReaderSeesBalancedBooksWhileTheWorkerWrites) {
  WorkerCounters counters;
  std::atomic<bool> is_done{false};
  std::thread worker([&] {
    for (int i = 0; i < 200'000; ++i) {
      counters.begin();
      counters.add_received(2);
      counters.add_verdicts(1, Verdict::forward, 1);
      counters.add_verdicts(2, Verdict::replay, 1);
      counters.end();
    }
    is_done = true;
  });
  std::uint64_t last = 0;
  std::size_t reads = 0;
  while (!is_done || reads < 100) {
    control_port::Counters sum;
    counters.sum_into(sum);
    ASSERT_TRUE(is_balanced(sum)) << sum.received << " " << sum.forwarded << " " << drops(sum);
    ASSERT_GE(sum.received, last);
    last = sum.received;
    ++reads;
  }
  worker.join();
  control_port::Counters sum;
  counters.sum_into(sum);
  EXPECT_EQ(sum.received, 400'000U);
}

}  // namespace
}  // namespace allium::dataplane
