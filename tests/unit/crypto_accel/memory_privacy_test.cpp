// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/memory_privacy.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace allium {
namespace {

[[noreturn]] void forbid_and_end() {
  forbid_memory_dumps();
  rlimit core{1, 1};
  getrlimit(RLIMIT_CORE, &core);
  const bool is_shut = core.rlim_cur == 0 && core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0;
  _exit(is_shut ? 0 : 1);
}

// In a process of its own: what is given up does not come back.
TEST(MemoryPrivacyDeathTest, ForbidsDumpsAndReadingByOthers) {
  EXPECT_EXIT(forbid_and_end(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace allium
