// SPDX-License-Identifier: Apache-2.0
#include "control/node/clock_watch.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace allium::control {

void ClockWatch::add(const IdentityKey& node, std::uint64_t their_ms, std::uint64_t sent_ms,
                     std::uint64_t heard_ms) {
  if (heard_ms < sent_ms || heard_ms - sent_ms > kRoundTripMaxMs) {
    return;
  }
  std::erase_if(samples_, [&](const Sample& sample) { return sample.node == node; });
  const std::uint64_t middle_ms = sent_ms + (heard_ms - sent_ms) / 2;
  samples_.push_back({node, static_cast<std::int64_t>(middle_ms - their_ms), heard_ms});
  if (samples_.size() > kSamplesMax) {
    samples_.pop_front();
  }
}

std::optional<std::int64_t> ClockWatch::offset_ms(std::uint64_t now_ms) const {
  std::vector<std::int64_t> offsets;
  for (const Sample& sample : samples_) {
    // A clock that was set since has made a sample's age negative, and the sample worthless.
    if (sample.at_ms <= now_ms && now_ms - sample.at_ms < kSampleLifeMs) {
      offsets.push_back(sample.offset_ms);
    }
  }
  if (offsets.size() < kSamplesNeeded) {
    return std::nullopt;
  }
  const auto middle = offsets.begin() + static_cast<std::ptrdiff_t>(offsets.size() / 2);
  std::nth_element(offsets.begin(), middle, offsets.end());
  return *middle;
}

bool ClockWatch::is_good(std::uint64_t now_ms) {
  if (const auto offset = offset_ms(now_ms)) {
    const std::int64_t bound = is_good_ ? kOffsetMaxMs : kGoodAgainMs;
    is_good_ = std::abs(*offset) <= bound;
  }
  return is_good_;
}

}  // namespace allium::control
