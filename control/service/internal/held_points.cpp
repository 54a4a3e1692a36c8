// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/held_points.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "control/service/internal/stamp_clock.hpp"

namespace allium::control::internal {
namespace {

using Owners = std::vector<NodeKey>;

}  // namespace

void HeldPoints::update(std::shared_ptr<const ServiceNodes> now, const NodeKey& own,
                        std::uint64_t height, std::uint64_t now_ms) {
  // Under an earlier key, too.
  const Points had = kept_.network ? points_of(*kept_.network, kept_.own_key) : Points();
  const bool has_seen_all = kept_.network && own == kept_.own_key &&
                            (height == kept_.height || height == kept_.height + 1);
  const std::shared_ptr<const ServiceNodes> before = kept_.network;
  kept_.own_key = own;
  own_ = points_of(*now, own);
  kept_.height = height;
  for (const PointRange& points : without(had, own_)) {
    compare_before(points, now_ms);
  }
  split_wanted();
  const Points gained = before ? without(own_, had) : Points();
  for (const PointRange& points : gained) {
    gain(points, now_ms);
  }
  kept_.network = std::move(now);
  for (const PointRange& points : gained) {
    // Who had them may be there under another key.
    const bool has_source =
        std::any_of(kept_.wanted.begin(), kept_.wanted.end(), [&](const Wanted& one) {
          return overlap(one.points, points) && kept_.network->find_ed25519(one.source) != nullptr;
        });
    if (!has_source) {
      doubt(points, now_ms);
    }
  }
  hold(before.get(), has_seen_all, now_ms);
  if (!has_seen_all) {
    doubt_all(now_ms);
  }
  meet_strangers(before.get());
  drop_needless(now_ms);
}

void HeldPoints::ask_swarm(std::uint64_t now_ms) {
  for (Tenure& one : kept_.tenures) {
    one.since_ms = now_ms;
  }
  const ServiceNode* own = kept_.network->find_ed25519(kept_.own_key);
  for (const PointRange& points : own_) {
    for (const ServiceNode* member : kept_.network->members(own->swarm)) {
      const bool is_wanted =
          member == own ||
          std::any_of(kept_.wanted.begin(), kept_.wanted.end(), [&](const Wanted& one) {
            return one.source == member->ed25519 && without({points}, {one.points}).empty();
          });
      if (!is_wanted) {
        kept_.wanted.push_back({member->ed25519, points, now_ms});
      }
    }
    compare_before(points, now_ms);
  }
}

/// Who has not seen all networks has not heard of all that was deleted.
void HeldPoints::hold(const ServiceNodes* before, bool has_seen_all, std::uint64_t now_ms) {
  std::vector<Tenure> held;
  Points old;
  for (const Tenure& one : kept_.tenures) {
    for (const PointRange& points : common(own_, one.points)) {
      held.push_back({points, has_seen_all ? one.since_ms : now_ms, one.from});
      old.push_back(points);
    }
    for (const PointRange& points : without({one.points}, own_)) {
      kept_.past.push_back({points, now_ms, one.from});
    }
  }
  for (const PointRange& points : without(own_, old)) {
    Tenure one{points, now_ms, {}};
    const std::vector<SwarmId> swarms =
        before != nullptr ? before->swarms().ids() : std::vector<SwarmId>();
    for (const SwarmId swarm : swarms) {
      if (!common({points}, *before->swarms().points_of(swarm)).empty()) {
        for (const ServiceNode* member : before->members(swarm)) {
          one.from.push_back(member->ed25519);
        }
      }
    }
    for (const Tenure& earlier : kept_.past) {
      for (const NodeKey& key : overlap(earlier.points, points) ? earlier.from : Owners()) {
        remember(one.from, key);
      }
    }
    held.push_back(std::move(one));
  }
  kept_.tenures = std::move(held);
  std::erase_if(kept_.past, [&](const Tenure& one) {
    return is_own(one.points) || one.since_ms + storage::kLifeMsMax < now_ms;
  });
  while (kept_.past.size() > kPastTenuresMax) {
    kept_.past.pop_front();
  }
  std::vector<Wanted> compared;
  for (Wanted one : std::exchange(kept_.compared, {})) {
    const PointRange whole = one.points;
    one.since_ms = one.since_ms == 0 ? now_ms : one.since_ms;
    for (const PointRange& points : common(own_, whole)) {
      one.points = points;
      compared.push_back(one);
    }
    for (const PointRange& points : without({whole}, own_)) {
      one.points = points;
      compared.push_back(one);
    }
  }
  kept_.compared = std::move(compared);
}

void HeldPoints::doubt_all(std::uint64_t now_ms) {
  ask_swarm(now_ms);
  for (const PointRange& points : own_) {
    doubt(points, now_ms);
  }
}

void HeldPoints::doubt(const PointRange& points, std::uint64_t now_ms) {
  std::vector<Doubt> rest;
  for (const Doubt& one : kept_.doubts) {
    for (const PointRange& part : without({one.points}, {points})) {
      rest.push_back({part, one.since_ms});
    }
  }
  kept_.doubts = std::move(rest);
  kept_.doubts.push_back({points, now_ms});
  std::erase_if(strangers_, [&points](const Wanted& one) { return overlap(one.points, points); });
}

/// Within one network: who has said all he has about this is not asked again.
void HeldPoints::doubt_now(const PointRange& points, std::uint64_t now_ms) {
  const bool is_known =
      std::any_of(kept_.doubts.begin(), kept_.doubts.end(),
                  [&points](const Doubt& of) { return without({points}, {of.points}).empty(); });
  if (!is_known) {
    doubt(points, now_ms);
    meet_strangers(kept_.network.get());
    std::erase_if(strangers_, [&](const Wanted& one) {
      return one.points == points &&
             std::any_of(through_.begin(), through_.end(), [&](const Wanted& other) {
               return other.source == one.source && without({points}, {other.points}).empty();
             });
    });
    drop_needless(now_ms);
  }
}

/// For doubts that nobody has been asked about, all; for the others, who has come since `before`.
void HeldPoints::meet_strangers(const ServiceNodes* before) {
  std::vector<Doubt> own;
  for (const Doubt& one : kept_.doubts) {
    for (const PointRange& points : common(own_, one.points)) {
      own.push_back({points, one.since_ms});
    }
  }
  kept_.doubts = std::move(own);
  std::erase_if(strangers_, [this](const Wanted& one) {
    return kept_.network->find_ed25519(one.source) == nullptr ||
           std::none_of(kept_.doubts.begin(), kept_.doubts.end(),
                        [&one](const Doubt& of) { return of.points == one.points; });
  });
  for (const Doubt& of : kept_.doubts) {
    const bool is_new = std::none_of(strangers_.begin(), strangers_.end(),
                                     [&of](const Wanted& one) { return one.points == of.points; });
    for (const ServiceNode& node : kept_.network->all()) {
      const bool is_known = before != nullptr && before->find_ed25519(node.ed25519) != nullptr;
      const bool is_asked_anyway =
          std::any_of(kept_.wanted.begin(), kept_.wanted.end(), [&](const Wanted& one) {
            return one.source == node.ed25519 && one.distance == 0 &&
                   without({of.points}, {one.points}).empty();
          });
      if (node.ed25519 != kept_.own_key && (is_new || !is_known) && !is_asked_anyway) {
        strangers_.push_back({node.ed25519, of.points, of.since_ms, kStranger});
      }
    }
  }
}

/// Never less than before: what came since may be as old.
void HeldPoints::compare_before(const PointRange& points, std::uint64_t until_ms) {
  std::vector<OldCopy> copies;
  Points earlier = {points};
  for (const OldCopy& copy : kept_.copies) {
    if (copy.until_ms >= until_ms) {
      earlier = without(std::move(earlier), {copy.points});
      copies.push_back(copy);
      continue;
    }
    for (const PointRange& rest : without({copy.points}, {points})) {
      copies.push_back({rest, copy.until_ms});
    }
  }
  for (const PointRange& part : earlier) {
    copies.push_back({part, until_ms});
  }
  kept_.copies = std::move(copies);
}

/// Each is of this node's own points alone, or of others'. Of those it keeps what it may be the only one to know that it is missing.
void HeldPoints::split_wanted() {
  std::vector<Wanted> pieces;
  for (Wanted one : std::exchange(kept_.wanted, {})) {
    const PointRange whole = one.points;
    for (const PointRange& points : common(own_, whole)) {
      one.points = points;
      pieces.push_back(one);
    }
    for (const PointRange& points : without({whole}, own_)) {
      one.points = points;
      if (one.covered_ms != 0) {
        pieces.push_back(one);
      }
    }
  }
  kept_.wanted = std::move(pieces);
}

void HeldPoints::gain(const PointRange& points, std::uint64_t now_ms) {
  if (!old_copies(points).empty()) {
    doubt(points, now_ms);
  }
  for (Wanted& one : kept_.wanted) {
    for (const PointRange& both : common_points(one.points, points)) {
      ++one.distance;
      compare_before(both, now_ms);
    }
  }
  for (const SwarmId swarm : kept_.network->swarms().ids()) {
    const Points theirs = common({points}, *kept_.network->swarms().points_of(swarm));
    for (const ServiceNode* member : kept_.network->members(swarm)) {
      for (const PointRange& both : theirs) {
        const Wanted one{member->ed25519, both, now_ms};
        std::erase_if(kept_.wanted, [&one](const Wanted& other) {
          return other.source == one.source && other.points == one.points;
        });
        std::erase_if(through_,
                      [&both](const Wanted& other) { return overlap(other.points, both); });
        kept_.wanted.push_back(one);
      }
    }
  }
}

void HeldPoints::drop_needless(std::uint64_t now_ms) {
  std::erase_if(kept_.wanted, [&](const Wanted& one) {
    return one.source == kept_.own_key || kept_.network->find_ed25519(one.source) == nullptr ||
           one.since_ms + storage::kLifeMsMax < now_ms;
  });
  std::erase_if(strangers_,
                [&](const Wanted& one) { return one.since_ms + storage::kLifeMsMax < now_ms; });
  std::erase_if(kept_.compared, [&](const Wanted& one) {
    const bool is_owner = is_or_was_owner(one.source, one.points);
    return kept_.network->find_ed25519(one.source) == nullptr ||
           one.since_ms + (is_owner ? storage::kLifeMsMax : kSourceSilentMs) < now_ms;
  });
  std::erase_if(kept_.doubts, [this](const Doubt& of) {
    return std::none_of(strangers_.begin(), strangers_.end(),
                        [&of](const Wanted& one) { return one.points == of.points; });
  });
  std::erase_if(kept_.copies, [&](const OldCopy& copy) {
    const auto is_about = [&copy](const auto& one) { return overlap(one.points, copy.points); };
    const bool is_compared = is_own(copy.points) &&
                             std::none_of(kept_.wanted.begin(), kept_.wanted.end(), is_about) &&
                             std::none_of(kept_.doubts.begin(), kept_.doubts.end(), is_about) &&
                             std::none_of(kept_.compared.begin(), kept_.compared.end(), is_about);
    return is_compared || copy.until_ms + storage::kLifeMsMax < now_ms;
  });
  if (wanted().empty()) {
    through_.clear();
  }
}

bool HeldPoints::is_own(const PointRange& points) const {
  return without({points}, own_).empty();
}

std::vector<Wanted> HeldPoints::wanted() const {
  std::vector<Wanted> wanted;
  std::copy_if(kept_.wanted.begin(), kept_.wanted.end(), std::back_inserter(wanted),
               [this](const Wanted& one) { return is_own(one.points); });
  return wanted;
}

std::vector<Wanted> HeldPoints::strangers() const {
  const std::size_t count = std::min(strangers_.size(), kStrangersAtOnce);
  return {strangers_.begin(), strangers_.begin() + static_cast<std::ptrdiff_t>(count)};
}

void HeldPoints::stranger_through(const Wanted& one, std::uint64_t now_ms) {
  std::erase(strangers_, one);
  drop_needless(now_ms);
}

void HeldPoints::stranger_silent(const Wanted& one) {
  if (std::erase(strangers_, one) > 0) {
    strangers_.push_back(one);
  }
}

bool HeldPoints::has_had(const PointRange& points) const {
  const auto is_about = [&points](const auto& one) { return overlap(one.points, points); };
  return !common(own_, points).empty() ||
         std::any_of(kept_.copies.begin(), kept_.copies.end(), is_about) ||
         std::any_of(kept_.wanted.begin(), kept_.wanted.end(), is_about);
}

bool HeldPoints::is_for_later(const Wanted& one, std::uint64_t now_ms) const {
  if (one.distance == kComparedOnly) {
    return now_ms < one.since_ms + kComparedAfterMs;  // what is given later is compared again
  }
  return std::any_of(kept_.wanted.begin(), kept_.wanted.end(), [&](const Wanted& other) {
    return is_own(other.points) && overlap(one.points, other.points) &&
           other.distance < one.distance && now_ms < other.since_ms + kNearerFirstMs;
  });
}

void HeldPoints::heard(const Wanted& from, std::uint64_t now_ms) {
  for (Wanted& one : kept_.wanted) {
    const bool is_it = one.source == from.source && one.points == from.points;
    if (!is_it) {
      continue;
    }
    one.heard_ms = now_ms;
    if (one.covered_ms != 0 && one.covered_ms != UINT64_MAX) {
      one.covered_ms = now_ms + kSourceSilentMs;
    }
  }
}

bool HeldPoints::silent(const Wanted& from, std::uint64_t now_ms) {
  Points doubted;
  for (Wanted& one : kept_.wanted) {
    if (one.source == from.source && is_own(one.points) && !one.is_doubted &&
        one.covered_ms == UINT64_MAX &&
        std::max(one.since_ms, one.heard_ms) + kNearerFirstMs <= now_ms) {
      one.is_doubted = true;
      doubted.push_back(one.points);
    }
  }
  for (const PointRange& points : doubted) {
    doubt_now(points, now_ms);
  }
  return !doubted.empty();
}

void HeldPoints::through(const Wanted& from, bool is_whole, const std::vector<NodeKey>& named,
                         std::uint64_t now_ms) {
  const auto is_of = [](const NodeKey& source, const PointRange& points) {
    return [&source, &points](const Wanted& one) {
      return one.source == source && without({points}, {one.points}).empty();
    };
  };
  std::uint64_t covered_ms = UINT64_MAX;
  for (const Wanted& one : kept_.wanted) {
    covered_ms =
        one.source == from.source && one.points == from.points ? one.covered_ms : covered_ms;
  }
  std::erase_if(kept_.wanted, [&from](const Wanted& one) {
    return one.source == from.source && one.points == from.points;
  });
  through_.push_back(from);
  for (Wanted& one : kept_.wanted) {
    if (one.distance >= from.distance && without({one.points}, {from.points}).empty()) {
      one.covered_ms = std::min(one.covered_ms, is_whole ? 0 : now_ms + kSourceSilentMs);
    }
  }
  if (is_whole) {
    std::erase_if(kept_.wanted, [&from](const Wanted& one) {
      return one.distance > from.distance && without({one.points}, {from.points}).empty();
    });
  }
  for (const NodeKey& key : named) {
    const auto is_it = is_of(key, from.points);
    const bool is_known = std::any_of(kept_.wanted.begin(), kept_.wanted.end(), is_it) ||
                          std::any_of(through_.begin(), through_.end(), is_it);
    if (!is_whole && covered_ms != 0 && !is_known) {
      kept_.wanted.push_back({key, from.points, now_ms, from.distance + 1});
      compare_before(from.points, from.since_ms);
    }
  }
  if (!is_whole && std::find(named.begin(), named.end(), from.source) != named.end()) {
    doubt_now(from.points, now_ms);
  }
  drop_needless(now_ms);
}

bool HeldPoints::given(const storage::Account& account, storage::Stamp stored,
                       std::uint64_t now_ms) {
  const std::uint64_t point = storage::point_of(account);
  const auto tenure = std::find_if(
      kept_.tenures.begin(), kept_.tenures.end(),
      [point](const Tenure& one) { return one.points.first <= point && point <= one.points.last; });
  if (tenure == kept_.tenures.end() ||
      stored >= storage::stamp_of(tenure->since_ms + kClocksApartMs) ||
      now_ms < tenure->given_ms + kComparedAfterMs / 5) {  // not with each message
    return false;
  }
  tenure->given_ms = now_ms;
  std::set<NodeKey> sources(tenure->from.begin(), tenure->from.end());
  const auto is_gone = [this](const NodeKey& key) {
    return kept_.network->find_ed25519(key) == nullptr;
  };
  if (std::any_of(sources.begin(), sources.end(), is_gone)) {
    for (const ServiceNode& node : kept_.network->all()) {
      sources.insert(node.ed25519);
    }
  }
  for (const ServiceNode* member :
       kept_.network->members(kept_.network->find_ed25519(kept_.own_key)->swarm)) {
    sources.insert(member->ed25519);
  }
  sources.erase(kept_.own_key);
  std::erase_if(sources, is_gone);
  if (sources.empty()) {
    return false;
  }
  for (Wanted& one : kept_.compared) {
    if (one.points == tenure->points && sources.erase(one.source) > 0) {
      one.since_ms = now_ms;
    }
  }
  for (const NodeKey& source : sources) {
    kept_.compared.push_back({source, tenure->points, now_ms, kComparedOnly});
  }
  compare_before(tenure->points, tenure->since_ms);
  return true;
}

bool HeldPoints::is_or_was_owner(const NodeKey& key, const PointRange& points) const {
  const ServiceNode* node = kept_.network->find_ed25519(key);
  const ServiceNode* own = kept_.network->find_ed25519(kept_.own_key);
  return (node != nullptr && own != nullptr && node->swarm == own->swarm) ||
         std::any_of(kept_.tenures.begin(), kept_.tenures.end(), [&](const Tenure& one) {
           return overlap(one.points, points) &&
                  std::find(one.from.begin(), one.from.end(), key) != one.from.end();
         });
}

std::vector<Wanted> HeldPoints::compared() const {
  std::vector<Wanted> compared;
  std::copy_if(kept_.compared.begin(), kept_.compared.end(), std::back_inserter(compared),
               [this](const Wanted& one) { return is_own(one.points); });
  return compared;
}

bool HeldPoints::remember(std::vector<NodeKey>& owners, const NodeKey& key) const {
  const bool is_new = key != kept_.own_key && owners.size() < kOwnersBeforeMax &&
                      std::find(owners.begin(), owners.end(), key) == owners.end();
  if (is_new) {
    owners.push_back(key);
  }
  return is_new;
}

void HeldPoints::has_had(const Wanted& one) {
  for (Tenure& of : kept_.tenures) {
    if (overlap(of.points, one.points) && remember(of.from, one.source)) {
      of.given_ms = 0;  // what was given just now is compared with this one as well
    }
  }
}

std::vector<NodeKey> HeldPoints::owners_before(const PointRange& points,
                                               std::uint64_t now_ms) const {
  std::set<NodeKey> owners;
  const auto add = [&](const Tenure& one) {
    if (overlap(one.points, points) && now_ms < one.since_ms + storage::kLifeMsMax) {
      owners.insert(one.from.begin(), one.from.end());
    }
  };
  std::for_each(kept_.tenures.begin(), kept_.tenures.end(), add);
  std::for_each(kept_.past.begin(), kept_.past.end(), add);
  return {owners.begin(), owners.end()};
}

void HeldPoints::compared_with(const Wanted& one, std::uint64_t now_ms) {
  std::erase(kept_.compared, one);
  drop_needless(now_ms);
}

std::vector<OldCopy> HeldPoints::old_copies(const PointRange& points) const {
  std::vector<OldCopy> old;
  for (const OldCopy& copy : kept_.copies) {
    for (const PointRange& both : common_points(copy.points, points)) {
      old.push_back({both, copy.until_ms});
    }
  }
  return old;
}

bool HeldPoints::is_whole(const PointRange& points, const NodeKey& asker,
                          std::uint64_t now_ms) const {
  Points known = own_;
  for (const OldCopy& copy : kept_.copies) {
    known.push_back(copy.points);
  }
  const bool is_in_doubt =
      std::any_of(kept_.doubts.begin(), kept_.doubts.end(), [&](const Doubt& of) {
        return overlap(of.points, points) && now_ms < of.since_ms + kSourceSilentMs;
      });
  const bool is_compared =
      std::none_of(kept_.compared.begin(), kept_.compared.end(), [&](const Wanted& one) {
        return overlap(one.points, points) && now_ms < one.since_ms + kSourceSilentMs;
      });
  return !is_in_doubt && is_compared && without({points}, known).empty() &&
         std::none_of(kept_.wanted.begin(), kept_.wanted.end(), [&](const Wanted& one) {
           return overlap(one.points, points) && (one.source == asker || one.covered_ms > now_ms);
         });
}

std::vector<NodeKey> HeldPoints::lacked_from(const PointRange& points, std::uint64_t now_ms) const {
  std::set<NodeKey> sources;
  Points known = own_;
  for (const OldCopy& copy : kept_.copies) {
    known.push_back(copy.points);
  }
  for (const Wanted& one : kept_.wanted) {
    known.push_back(one.points);
    if (overlap(one.points, points) && one.covered_ms > now_ms) {
      sources.insert(one.source);
    }
  }
  if (!without({points}, known).empty()) {
    sources.insert(kept_.own_key);
  }
  const auto is_about = [&](const Wanted& one) {
    return overlap(one.points, points) && now_ms < one.since_ms + kSourceSilentMs;
  };
  for (const Wanted& one : strangers()) {
    if (is_about(one)) {
      sources.insert(one.source);
    }
  }
  for (const Wanted& one : kept_.compared) {
    if (is_about(one) && is_or_was_owner(one.source, one.points)) {
      sources.insert(one.source);
    }
  }
  return {sources.begin(), sources.end()};
}

storage::Stamp old_before(const std::vector<OldCopy>& copies, const storage::Account& account) {
  const std::uint64_t point = storage::point_of(account);
  const auto copy = std::find_if(copies.begin(), copies.end(), [point](const auto& one) {
    return one.points.first <= point && point <= one.points.last;
  });
  return copy == copies.end() ? 0 : storage::stamp_of(copy->until_ms + kClocksApartMs);
}

}  // namespace allium::control::internal
