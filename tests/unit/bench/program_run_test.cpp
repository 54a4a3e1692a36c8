// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/program_run.hpp"

#include <signal.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

namespace allium::bench {
namespace {

class ProgramRun : public testing::Test {
 protected:
  Result<ProgramEnd> shell(const std::string& script, double seconds_max = 20,
                           const std::string& kernels = "") {
    return programs_.run({"-c", script}, kernels, seconds_max);
  }

  ProgramRuns programs_{"/bin/sh", "sh"};
};

TEST_F(ProgramRun, HearsBothStreamsAndTheExitCode) {
  const auto end = shell("echo out; echo talk >&2; exit 7");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->output, "out\n");
  EXPECT_EQ(end->talk, "talk\n");
  EXPECT_EQ(end->exit_code, 7);
  EXPECT_FALSE(end->is_overdue);
}

TEST_F(ProgramRun, PassesKernelsOn) {
  const auto end = shell("printf %s \"$ALLIUM_KERNEL\"", 20, "onion=ipsec-mb");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->output, "onion=ipsec-mb");
}

TEST_F(ProgramRun, TakesMoreThanAPipeHolds) {
  const auto end = shell("head -c 1000000 /dev/zero; head -c 300000 /dev/zero >&2");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->output.size(), 1'000'000U);
  EXPECT_EQ(end->talk.size(), 300'000U);
}

TEST_F(ProgramRun, EndsWhatTakesTooLongAndWhatThatStarted) {
  const auto end = shell("sleep 600 & echo $!; wait", 0.3);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->is_overdue);
  EXPECT_EQ(end->exit_code, 128 + SIGKILL);
  const pid_t grandchild = std::stoi(end->output);
  ASSERT_GT(grandchild, 1);
  // Nobody may wait for it any more; it is dead or a zombie of the system's.
  std::string state;
  for (int i = 0; i < 200; ++i) {
    const auto look = shell("cut -d' ' -f3 /proc/" + std::to_string(grandchild) +
                            "/stat 2>/dev/null || echo gone");
    ASSERT_TRUE(look);
    state = look->output;
    if (state == "gone\n" || state == "Z\n") {
      return;
    }
    const timespec pause{0, 10'000'000};
    nanosleep(&pause, nullptr);
  }
  FAIL() << "it is in state " << state;
}

TEST_F(ProgramRun, ASignalEndsAllAndIsRemembered) {
  const auto end = shell("kill -INT " + std::to_string(getpid()) + "; sleep 600");
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::refused);
  EXPECT_EQ(programs_.interrupted_by(), SIGINT);
}

TEST_F(ProgramRun, AProgramThatIsNotThereSaysSo) {
  ProgramRuns none("/no/such/program", "none");
  const auto end = none.run({}, "", 10);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 127);
  EXPECT_NE(end->talk.find("error: /no/such/program"), std::string::npos);
}

TEST(ProgramRunMask, ChildrenHearSignalsAgain) {
  ProgramRuns programs("/bin/sh", "sh");
  const auto end = programs.run({"-c", "kill -TERM $$; echo survived"}, "", 10);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->exit_code, 128 + SIGTERM);
  EXPECT_EQ(end->output, "");
}

}  // namespace
}  // namespace allium::bench
