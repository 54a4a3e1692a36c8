// SPDX-License-Identifier: Apache-2.0
#include "control/node/start_ledger.hpp"

#include <string>

#include "dataplane/onion/time_index.hpp"

namespace allium::control {

Result<void> StartLedger::begin_start(std::uint64_t now_ms) {
  const std::uint64_t epoch = onion::epoch_of(now_ms);
  const auto used = used_.find(epoch);
  if (used != used_.end() && used->second >= kStartsMax) {
    const std::uint64_t wait_s = (epoch + 1) * onion::kEpochSeconds - onion::seconds_of(now_ms);
    return fail(Errc::full,
                "started " + std::to_string(kStartsMax) +
                    " times in this epoch, and no link numbers are left: try again in " +
                    std::to_string(wait_s) + " s");
  }
  own_.clear();
  salt_alloc_first_ = next_alloc_;
  next_alloc_ = static_cast<std::uint16_t>((next_alloc_ + kSaltAllocsPerStart) % kSaltAllocs);
  return {};
}

std::optional<control_port::SequenceRange> StartLedger::range(std::uint64_t epoch) {
  if (const auto own = own_.find(epoch); own != own_.end()) {
    return own->second;
  }
  std::uint64_t& used = used_[epoch];
  if (used >= kStartsMax) {
    return std::nullopt;
  }
  const control_port::SequenceRange range{epoch, used * kNumbersPerStart,
                                          (used + 1) * kNumbersPerStart};
  ++used;
  own_.emplace(epoch, range);
  if (used_.size() > kEpochsRemembered) {
    used_.erase(used_.begin());
  }
  return range;
}

}  // namespace allium::control
