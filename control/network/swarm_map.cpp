// SPDX-License-Identifier: Apache-2.0
#include "control/network/swarm_map.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace allium::control {

std::string swarm_id_text(SwarmId swarm) {
  std::array<char, 16> digits{};
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), swarm, 16);
  return {digits.data(), written.ptr};
}

namespace {

/// The one or two parts that do not run across the end of the ring.
std::vector<PointRange> straight(const PointRange& points) {
  if (points.first <= points.last) {
    return {points};
  }
  return {{0, points.last}, {points.first, ~std::uint64_t{0}}};
}

}  // namespace

std::vector<PointRange> common_points(const PointRange& left, const PointRange& right) {
  std::vector<PointRange> common;
  for (const PointRange& a : straight(left)) {
    for (const PointRange& b : straight(right)) {
      const PointRange both{std::max(a.first, b.first), std::min(a.last, b.last)};
      if (both.first <= both.last) {
        common.push_back(both);
      }
    }
  }
  return common;
}

SwarmMap::SwarmMap(std::vector<SwarmId> ids) : ids_(std::move(ids)) {
  std::sort(ids_.begin(), ids_.end());
  ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
  if (!ids_.empty() && ids_.back() == kNoSwarm) {
    ids_.pop_back();
  }
}

std::optional<SwarmId> SwarmMap::swarm_of(std::uint64_t point) const noexcept {
  if (ids_.empty()) {
    return std::nullopt;
  }
  const auto found = std::lower_bound(ids_.begin(), ids_.end(), point);
  const SwarmId right = found == ids_.end() ? ids_.front() : *found;
  const SwarmId left = found == ids_.begin() ? ids_.back() : *(found - 1);
  // Distances are modulo 2^64: the ring closes.
  return right - point < point - left ? right : left;
}

std::optional<PointRange> SwarmMap::points_of(SwarmId swarm) const noexcept {
  const auto found = std::lower_bound(ids_.begin(), ids_.end(), swarm);
  if (found == ids_.end() || *found != swarm) {
    return std::nullopt;
  }
  if (ids_.size() == 1) {
    return PointRange{0, ~std::uint64_t{0}};
  }
  const SwarmId before = found == ids_.begin() ? ids_.back() : *(found - 1);
  const SwarmId after = found + 1 == ids_.end() ? ids_.front() : *(found + 1);
  return PointRange{before + (swarm - before) / 2 + 1, swarm + (after - swarm) / 2};
}

SwarmId new_swarm_id(const SwarmMap& swarms) {
  const std::vector<SwarmId>& ids = swarms.ids();
  constexpr std::uint64_t kRing = kNoSwarm;  // so many ids there are: 0 to kNoSwarm - 1
  SwarmId start = 0;
  std::uint64_t widest = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool is_last = i + 1 == ids.size();
    const std::uint64_t gap = is_last ? kRing - ids[i] + ids.front() : ids[i + 1] - ids[i];
    if (gap > widest) {
      widest = gap;
      start = ids[i];
    }
  }
  const std::uint64_t half = widest / 2;
  const std::uint64_t to_the_end = kRing - start;
  return half < to_the_end ? start + half : half - to_the_end;
}

}  // namespace allium::control
