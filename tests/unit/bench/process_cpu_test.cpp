// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/process_cpu.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

void spend_us(double us) {
  const double end = own_cpu_us() + us;
  while (own_cpu_us() < end) {
  }
}

TEST(ProcessCpu, CountsAllThreadsOfTheProcess) {
  const double begin = process_cpu_us(getpid()).value();
  std::thread([] { spend_us(3000); }).join();
  EXPECT_GE(process_cpu_us(getpid()).value() - begin, 3000) << "also of one that has ended";
}

TEST(ProcessCpu, SeesOtherProcessesUntilTheyEnd) {
  int held[2];
  ASSERT_EQ(pipe(held), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    close(held[1]);
    static_cast<void>(read(held[0], &byte, 1) == 0);
    _exit(0);
  }
  close(held[0]);
  EXPECT_TRUE(process_cpu_us(child));
  close(held[1]);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);

  const auto gone = process_cpu_us(child);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Errc::not_found);
}

TEST(ProcessCpu, TakesNoOtherNumberForAProcess) {
  EXPECT_FALSE(process_cpu_us(0));
  EXPECT_FALSE(process_cpu_us(-1));
}

}  // namespace
}  // namespace allium::bench
