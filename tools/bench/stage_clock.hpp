// SPDX-License-Identifier: Apache-2.0
#pragma once

// The time between the ends of a relay's stages, by the time stamp counter.
//
//   Units      TSC cycles.
//   Ownership  outlives the engine that has its probe.
//   Threads    one: the worker's.

#include <array>
#include <cstdint>

#include "dataplane/onion/stage_probe.hpp"

namespace allium::bench {

using StageCycles = std::array<std::uint64_t, onion::kStageCount>;

class StageClock {
 public:
  [[nodiscard]] onion::StageProbe probe() noexcept { return {this, ended}; }

  /// Everything back to zero; the first stage begins now.
  void start() noexcept;

  /// Since start().
  [[nodiscard]] const StageCycles& cycles() const noexcept { return cycles_; }

 private:
  static void ended(void* self, onion::Stage stage) noexcept;

  std::uint64_t last_ = 0;
  StageCycles cycles_{};
};

}  // namespace allium::bench
