// SPDX-License-Identifier: Apache-2.0
#pragma once

// What no two starts of a dataplane may share: the sequence numbers of links in an epoch (SPEC.md section
// 4: start k of an epoch gets [k * 2^34, (k + 1) * 2^34)) and the allocs of salts (section 6).
//
//   Ownership  lives as long as the keys whose use it guards: whoever forgets it makes new keys.
//   Errors     Errc::full where an epoch has no range left; the next epoch has.
//   Threads    one.
//   Limits     kStartsMax starts an epoch; kEpochsRemembered epochs, more than have living keys.

#include <cstdint>
#include <map>
#include <optional>

#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"

namespace allium::control {

inline constexpr std::uint64_t kNumbersPerStart = std::uint64_t{1} << 34;
inline constexpr std::uint64_t kStartsMax = (onion::kSeqMax + 1) / kNumbersPerStart;
inline constexpr std::uint16_t kSaltAllocs = 4096;
inline constexpr std::uint16_t kSaltAllocsPerStart = 16;  ///< one a worker
// With at most kStartsMax starts in an epoch, allocs come round only in a later epoch, under other keys.
static_assert(kStartsMax * kSaltAllocsPerStart < kSaltAllocs);

class StartLedger {
 public:
  /// A new start of the dataplane: what the last one had is never given again.
  [[nodiscard]] Result<void> begin_start(std::uint64_t now_ms);

  /// The range of this start in `epoch`, the same at every call; none: all are used up.
  [[nodiscard]] std::optional<control_port::SequenceRange> range(std::uint64_t epoch);

  [[nodiscard]] std::uint16_t salt_alloc_first() const noexcept { return salt_alloc_first_; }

 private:
  static constexpr std::size_t kEpochsRemembered = 1024;

  std::map<std::uint64_t, std::uint64_t> used_;  ///< epoch to ranges given away
  std::map<std::uint64_t, control_port::SequenceRange> own_;
  std::uint16_t salt_alloc_first_ = 0;
  std::uint16_t next_alloc_ = 0;
};

}  // namespace allium::control
