// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/base/memory_privacy.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace allium {

void forbid_memory_dumps() noexcept {
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace allium
