// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/stage_clock.hpp"

#include <x86intrin.h>

namespace allium::bench {

void StageClock::start() noexcept {
  cycles_ = {};
  last_ = __rdtsc();
}

void StageClock::ended(void* self, onion::Stage stage) noexcept {
  StageClock& clock = *static_cast<StageClock*>(self);
  const std::uint64_t now = __rdtsc();
  clock.cycles_[static_cast<std::size_t>(stage)] += now - clock.last_;
  clock.last_ = now;
}

}  // namespace allium::bench
