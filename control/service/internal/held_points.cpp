// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/held_points.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "control/service/encoding.hpp"
#include "control/service/internal/stamp_clock.hpp"

namespace allium::control::internal {
namespace {

constexpr std::string_view kFirstLine = "allium-held 5";
constexpr std::string_view kEnd = "end";
constexpr std::size_t kNodesMax = 100'000;
constexpr std::size_t kEntriesMax = 100'000;
constexpr PointRange kRing{0, UINT64_MAX};

using Owners = std::vector<NodeKey>;

bool overlap(const PointRange& one, const PointRange& other) {
  return one.first <= other.last && other.first <= one.last;
}

Points common(const Points& left, const PointRange& right) {
  Points points;
  for (const PointRange& one : left) {
    for (const PointRange& both : common_points(one, right)) {
      points.push_back(both);
    }
  }
  return points;
}

std::optional<NodeKey> read_key(std::istream& lines) {
  std::string text;
  lines >> text;
  const auto bytes = from_hex(text);
  return bytes ? array_of<32>(*bytes) : std::nullopt;
}

bool read_points(std::istream& lines, PointRange& points) {
  return (lines >> points.first >> points.last) && points.first <= points.last;
}

/// `name` and how many lines follow.
std::optional<std::size_t> read_count(std::istream& lines, std::string_view name) {
  std::string word;
  std::size_t count = 0;
  const bool is_good = (lines >> word >> count) && word == name && count <= kEntriesMax;
  return is_good ? std::optional(count) : std::nullopt;
}

/// `Tenures`: of HeldPoints.
template <typename Tenures>
void write_tenures(std::ostream& text, std::string_view name, const Tenures& tenures) {
  text << name << ' ' << tenures.size() << '\n';
  for (const auto& one : tenures) {
    text << one.points.first << ' ' << one.points.last << ' ' << one.since_ms << " from "
         << one.from.size() << '\n';
    for (const NodeKey& key : one.from) {
      text << to_hex(key) << '\n';
    }
  }
}

template <typename Tenures>
bool read_tenures(std::istream& lines, std::string_view name, Tenures& tenures) {
  const auto count = read_count(lines, name);
  for (std::size_t i = 0; count && i < *count; ++i) {
    typename Tenures::value_type one;
    if (!read_points(lines, one.points) || !(lines >> one.since_ms)) {
      return false;
    }
    const auto keys = read_count(lines, "from");
    for (std::size_t k = 0; keys && k < *keys; ++k) {
      const auto key = read_key(lines);
      if (!key) {
        return false;
      }
      one.from.push_back(*key);
    }
    if (!keys) {
      return false;
    }
    tenures.push_back(std::move(one));
  }
  return count.has_value();
}

}  // namespace

Points without(Points points, const Points& taken) {
  for (const PointRange& hole : taken) {
    Points rest;
    for (const PointRange& one : points) {
      if (!overlap(one, hole)) {
        rest.push_back(one);
        continue;
      }
      if (one.first < hole.first) {
        rest.push_back({one.first, hole.first - 1});
      }
      if (hole.last < one.last) {
        rest.push_back({hole.last + 1, one.last});
      }
    }
    points = std::move(rest);
  }
  return points;
}

Points points_of(const ServiceNodes& network, const NodeKey& key) {
  const ServiceNode* node = network.find_ed25519(key);
  const auto points = node == nullptr ? std::nullopt : network.swarms().points_of(node->swarm);
  return points ? common_points(*points, kRing) : Points();
}

HeldPoints::HeldPoints(std::string_view text, const std::string& store) {
  if (!read(text, store)) {
    network_ = nullptr;
    wanted_.clear();
    copies_.clear();
    doubts_.clear();
    tenures_.clear();
    past_.clear();
    compared_.clear();
  }
}

// In which store the messages are: a word about another one says nothing of this one.
std::string HeldPoints::text(const std::string& store) const {
  std::ostringstream text;
  if (!network_) {
    return {};
  }
  text << kFirstLine << "\nstore " << store << "\nnode " << to_hex(own_key_) << ' ' << height_
       << "\ndoubts " << doubts_.size() << '\n';
  for (const Doubt& one : doubts_) {
    text << one.points.first << ' ' << one.points.last << ' ' << one.since_ms << '\n';
  }
  text << "copies " << copies_.size() << '\n';
  for (const Copy& copy : copies_) {
    text << copy.points.first << ' ' << copy.points.last << ' ' << copy.until_ms << '\n';
  }
  text << "wanted " << wanted_.size() << '\n';
  for (const Wanted& one : wanted_) {
    text << to_hex(one.source) << ' ' << one.points.first << ' ' << one.points.last << ' '
         << one.since_ms << ' ' << one.distance << ' ' << one.covered_ms << '\n';
  }
  text << "compared " << compared_.size() << '\n';
  for (const Wanted& one : compared_) {
    text << to_hex(one.source) << ' ' << one.points.first << ' ' << one.points.last << '\n';
  }
  write_tenures(text, "tenures", tenures_);
  write_tenures(text, "past", past_);
  text << "nodes " << network_->all().size() << '\n';
  for (const ServiceNode& node : network_->all()) {
    text << to_hex(node.ed25519) << ' ' << node.swarm << '\n';
  }
  text << kEnd << '\n';
  return text.str();
}

bool HeldPoints::read(std::string_view text, const std::string& store) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kFirstLine || !std::getline(lines, line) ||
      line != "store " + store) {
    return false;
  }
  std::string word;
  if (!(lines >> word) || word != "node") {
    return false;
  }
  const auto own = read_key(lines);
  if (!own || !(lines >> height_)) {
    return false;
  }
  own_key_ = *own;
  auto count = read_count(lines, "doubts");
  for (std::size_t i = 0; count && i < *count; ++i) {
    Doubt one;
    if (!read_points(lines, one.points) || !(lines >> one.since_ms)) {
      return false;
    }
    doubts_.push_back(one);
  }
  count = count ? read_count(lines, "copies") : std::nullopt;
  for (std::size_t i = 0; count && i < *count; ++i) {
    Copy copy;
    if (!read_points(lines, copy.points) || !(lines >> copy.until_ms)) {
      return false;
    }
    copies_.push_back(copy);
  }
  count = count ? read_count(lines, "wanted") : std::nullopt;
  for (std::size_t i = 0; count && i < *count; ++i) {
    Wanted one;
    const auto key = read_key(lines);
    if (!key || !read_points(lines, one.points) ||
        !(lines >> one.since_ms >> one.distance >> one.covered_ms)) {
      return false;
    }
    one.source = *key;
    wanted_.push_back(one);
  }
  count = count ? read_count(lines, "compared") : std::nullopt;
  for (std::size_t i = 0; count && i < *count; ++i) {
    Wanted one;
    const auto key = read_key(lines);
    if (!key || !read_points(lines, one.points)) {
      return false;
    }
    one.source = *key;
    one.distance = kComparedOnly;
    compared_.push_back(one);
  }
  if (!count || !read_tenures(lines, "tenures", tenures_) || !read_tenures(lines, "past", past_)) {
    return false;
  }
  count = read_count(lines, "nodes");
  if (!count || *count > kNodesMax) {
    return false;
  }
  std::vector<ServiceNode> nodes;
  for (std::size_t i = 0; i < *count; ++i) {
    ServiceNode node;
    const auto key = read_key(lines);
    if (!key || !(lines >> node.swarm)) {
      return false;
    }
    node.ed25519 = node.legacy = node.x25519 = *key;
    nodes.push_back(node);
  }
  std::string end;
  if (!(lines >> end) || end != kEnd || lines >> end) {
    return false;
  }
  network_ = std::make_shared<const ServiceNodes>(std::move(nodes));
  return true;
}

void HeldPoints::update(std::shared_ptr<const ServiceNodes> now, const NodeKey& own,
                        std::uint64_t height, std::uint64_t now_ms) {
  // Under an earlier key, too.
  const Points had = network_ ? points_of(*network_, own_key_) : Points();
  const bool has_seen_all =
      network_ && own == own_key_ && (height == height_ || height == height_ + 1);
  const std::shared_ptr<const ServiceNodes> before = network_;
  own_key_ = own;
  own_ = points_of(*now, own);
  height_ = height;
  for (const PointRange& points : without(had, own_)) {
    compare_before(points, now_ms);
  }
  split_wanted();
  const Points gained = before ? without(own_, had) : Points();
  for (const PointRange& points : gained) {
    gain(points, now_ms);
  }
  network_ = std::move(now);
  for (const PointRange& points : gained) {
    // Who had them may be there under another key.
    const bool has_source = std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
      return overlap(one.points, points) && network_->find_ed25519(one.source) != nullptr;
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
  for (Tenure& one : tenures_) {
    one.since_ms = now_ms;
  }
  const ServiceNode* own = network_->find_ed25519(own_key_);
  for (const PointRange& points : own_) {
    for (const ServiceNode* member : network_->members(own->swarm)) {
      const bool is_wanted =
          member == own || std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
            return one.source == member->ed25519 && without({points}, {one.points}).empty();
          });
      if (!is_wanted) {
        wanted_.push_back({member->ed25519, points, now_ms});
      }
    }
    compare_before(points, now_ms);
  }
}

/// Who has not seen all networks has not heard of all that was deleted.
void HeldPoints::hold(const ServiceNodes* before, bool has_seen_all, std::uint64_t now_ms) {
  std::vector<Tenure> held;
  Points old;
  for (const Tenure& one : tenures_) {
    for (const PointRange& points : common(own_, one.points)) {
      held.push_back({points, has_seen_all ? one.since_ms : now_ms, one.from});
      old.push_back(points);
    }
    for (const PointRange& points : without({one.points}, own_)) {
      past_.push_back({points, now_ms, one.from});
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
    for (const Tenure& earlier : past_) {
      for (const NodeKey& key : overlap(earlier.points, points) ? earlier.from : Owners()) {
        remember(one.from, key);
      }
    }
    held.push_back(std::move(one));
  }
  tenures_ = std::move(held);
  std::erase_if(past_, [&](const Tenure& one) {
    return is_own(one.points) || one.since_ms + storage::kLifeMsMax < now_ms;
  });
  while (past_.size() > kPastTenuresMax) {
    past_.pop_front();
  }
  std::vector<Wanted> compared;
  for (Wanted one : std::exchange(compared_, {})) {
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
  compared_ = std::move(compared);
}

void HeldPoints::doubt_all(std::uint64_t now_ms) {
  ask_swarm(now_ms);
  for (const PointRange& points : own_) {
    doubt(points, now_ms);
  }
}

void HeldPoints::doubt(const PointRange& points, std::uint64_t now_ms) {
  std::vector<Doubt> rest;
  for (const Doubt& one : doubts_) {
    for (const PointRange& part : without({one.points}, {points})) {
      rest.push_back({part, one.since_ms});
    }
  }
  doubts_ = std::move(rest);
  doubts_.push_back({points, now_ms});
  std::erase_if(strangers_, [&points](const Wanted& one) { return overlap(one.points, points); });
}

/// Within one network: who has said all he has about this is not asked again.
void HeldPoints::doubt_now(const PointRange& points, std::uint64_t now_ms) {
  const bool is_known = std::any_of(doubts_.begin(), doubts_.end(), [&points](const Doubt& of) {
    return without({points}, {of.points}).empty();
  });
  if (!is_known) {
    doubt(points, now_ms);
    meet_strangers(network_.get());
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
  for (const Doubt& one : doubts_) {
    for (const PointRange& points : common(own_, one.points)) {
      own.push_back({points, one.since_ms});
    }
  }
  doubts_ = std::move(own);
  std::erase_if(strangers_, [this](const Wanted& one) {
    return network_->find_ed25519(one.source) == nullptr ||
           std::none_of(doubts_.begin(), doubts_.end(),
                        [&one](const Doubt& of) { return of.points == one.points; });
  });
  for (const Doubt& of : doubts_) {
    const bool is_new = std::none_of(strangers_.begin(), strangers_.end(),
                                     [&of](const Wanted& one) { return one.points == of.points; });
    for (const ServiceNode& node : network_->all()) {
      const bool is_known = before != nullptr && before->find_ed25519(node.ed25519) != nullptr;
      const bool is_asked_anyway =
          std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
            return one.source == node.ed25519 && one.distance == 0 &&
                   without({of.points}, {one.points}).empty();
          });
      if (node.ed25519 != own_key_ && (is_new || !is_known) && !is_asked_anyway) {
        strangers_.push_back({node.ed25519, of.points, of.since_ms, kStranger});
      }
    }
  }
}

/// Never less than before: what came since may be as old.
void HeldPoints::compare_before(const PointRange& points, std::uint64_t until_ms) {
  std::vector<Copy> copies;
  Points earlier = {points};
  for (const Copy& copy : copies_) {
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
  copies_ = std::move(copies);
}

/// Each is of this node's own points alone, or of others'. Of those it keeps what it may be the only one to know that it is missing.
void HeldPoints::split_wanted() {
  std::vector<Wanted> pieces;
  for (Wanted one : std::exchange(wanted_, {})) {
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
  wanted_ = std::move(pieces);
}

void HeldPoints::gain(const PointRange& points, std::uint64_t now_ms) {
  if (!old_copies(points).empty()) {
    doubt(points, now_ms);
  }
  for (Wanted& one : wanted_) {
    for (const PointRange& both : common_points(one.points, points)) {
      ++one.distance;
      compare_before(both, now_ms);
    }
  }
  for (const SwarmId swarm : network_->swarms().ids()) {
    const Points theirs = common({points}, *network_->swarms().points_of(swarm));
    for (const ServiceNode* member : network_->members(swarm)) {
      for (const PointRange& both : theirs) {
        const Wanted one{member->ed25519, both, now_ms};
        std::erase_if(wanted_, [&one](const Wanted& other) {
          return other.source == one.source && other.points == one.points;
        });
        std::erase_if(through_,
                      [&both](const Wanted& other) { return overlap(other.points, both); });
        wanted_.push_back(one);
      }
    }
  }
}

void HeldPoints::drop_needless(std::uint64_t now_ms) {
  std::erase_if(wanted_, [&](const Wanted& one) {
    return one.source == own_key_ || network_->find_ed25519(one.source) == nullptr ||
           one.since_ms + storage::kLifeMsMax < now_ms;
  });
  std::erase_if(strangers_,
                [&](const Wanted& one) { return one.since_ms + storage::kLifeMsMax < now_ms; });
  std::erase_if(compared_, [&](const Wanted& one) {
    const bool is_owner = is_or_was_owner(one.source, one.points);
    return network_->find_ed25519(one.source) == nullptr ||
           one.since_ms + (is_owner ? storage::kLifeMsMax : kSourceSilentMs) < now_ms;
  });
  std::erase_if(doubts_, [this](const Doubt& of) {
    return std::none_of(strangers_.begin(), strangers_.end(),
                        [&of](const Wanted& one) { return one.points == of.points; });
  });
  std::erase_if(copies_, [&](const Copy& copy) {
    const auto is_about = [&copy](const auto& one) { return overlap(one.points, copy.points); };
    const bool is_compared = is_own(copy.points) &&
                             std::none_of(wanted_.begin(), wanted_.end(), is_about) &&
                             std::none_of(doubts_.begin(), doubts_.end(), is_about) &&
                             std::none_of(compared_.begin(), compared_.end(), is_about);
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
  std::copy_if(wanted_.begin(), wanted_.end(), std::back_inserter(wanted),
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
  return !common(own_, points).empty() || std::any_of(copies_.begin(), copies_.end(), is_about) ||
         std::any_of(wanted_.begin(), wanted_.end(), is_about);
}

bool HeldPoints::is_for_later(const Wanted& one, std::uint64_t now_ms) const {
  if (one.distance == kComparedOnly) {
    return now_ms < one.since_ms + kComparedAfterMs;  // what is given later is compared again
  }
  return std::any_of(wanted_.begin(), wanted_.end(), [&](const Wanted& other) {
    return is_own(other.points) && overlap(one.points, other.points) &&
           other.distance < one.distance && now_ms < other.since_ms + kNearerFirstMs;
  });
}

void HeldPoints::heard(const Wanted& from, std::uint64_t now_ms) {
  for (Wanted& one : wanted_) {
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
  for (Wanted& one : wanted_) {
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
  for (const Wanted& one : wanted_) {
    covered_ms =
        one.source == from.source && one.points == from.points ? one.covered_ms : covered_ms;
  }
  std::erase_if(wanted_, [&from](const Wanted& one) {
    return one.source == from.source && one.points == from.points;
  });
  through_.push_back(from);
  for (Wanted& one : wanted_) {
    if (one.distance >= from.distance && without({one.points}, {from.points}).empty()) {
      one.covered_ms = std::min(one.covered_ms, is_whole ? 0 : now_ms + kSourceSilentMs);
    }
  }
  if (is_whole) {
    std::erase_if(wanted_, [&from](const Wanted& one) {
      return one.distance > from.distance && without({one.points}, {from.points}).empty();
    });
  }
  for (const NodeKey& key : named) {
    const auto is_it = is_of(key, from.points);
    const bool is_known = std::any_of(wanted_.begin(), wanted_.end(), is_it) ||
                          std::any_of(through_.begin(), through_.end(), is_it);
    if (!is_whole && covered_ms != 0 && !is_known) {
      wanted_.push_back({key, from.points, now_ms, from.distance + 1});
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
  const auto tenure = std::find_if(tenures_.begin(), tenures_.end(), [point](const Tenure& one) {
    return one.points.first <= point && point <= one.points.last;
  });
  if (tenure == tenures_.end() || stored >= storage::stamp_of(tenure->since_ms + kClocksApartMs) ||
      now_ms < tenure->given_ms + kComparedAfterMs / 5) {  // not with each message
    return false;
  }
  tenure->given_ms = now_ms;
  std::set<NodeKey> sources(tenure->from.begin(), tenure->from.end());
  const auto is_gone = [this](const NodeKey& key) {
    return network_->find_ed25519(key) == nullptr;
  };
  if (std::any_of(sources.begin(), sources.end(), is_gone)) {
    for (const ServiceNode& node : network_->all()) {
      sources.insert(node.ed25519);
    }
  }
  for (const ServiceNode* member : network_->members(network_->find_ed25519(own_key_)->swarm)) {
    sources.insert(member->ed25519);
  }
  sources.erase(own_key_);
  std::erase_if(sources, is_gone);
  if (sources.empty()) {
    return false;
  }
  for (Wanted& one : compared_) {
    if (one.points == tenure->points && sources.erase(one.source) > 0) {
      one.since_ms = now_ms;
    }
  }
  for (const NodeKey& source : sources) {
    compared_.push_back({source, tenure->points, now_ms, kComparedOnly});
  }
  compare_before(tenure->points, tenure->since_ms);
  return true;
}

bool HeldPoints::is_or_was_owner(const NodeKey& key, const PointRange& points) const {
  const ServiceNode* node = network_->find_ed25519(key);
  const ServiceNode* own = network_->find_ed25519(own_key_);
  return (node != nullptr && own != nullptr && node->swarm == own->swarm) ||
         std::any_of(tenures_.begin(), tenures_.end(), [&](const Tenure& one) {
           return overlap(one.points, points) &&
                  std::find(one.from.begin(), one.from.end(), key) != one.from.end();
         });
}

std::vector<Wanted> HeldPoints::compared() const {
  std::vector<Wanted> compared;
  std::copy_if(compared_.begin(), compared_.end(), std::back_inserter(compared),
               [this](const Wanted& one) { return is_own(one.points); });
  return compared;
}

bool HeldPoints::remember(std::vector<NodeKey>& owners, const NodeKey& key) const {
  const bool is_new = key != own_key_ && owners.size() < kOwnersBeforeMax &&
                      std::find(owners.begin(), owners.end(), key) == owners.end();
  if (is_new) {
    owners.push_back(key);
  }
  return is_new;
}

void HeldPoints::has_had(const Wanted& one) {
  for (Tenure& of : tenures_) {
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
  std::for_each(tenures_.begin(), tenures_.end(), add);
  std::for_each(past_.begin(), past_.end(), add);
  return {owners.begin(), owners.end()};
}

void HeldPoints::compared_with(const Wanted& one, std::uint64_t now_ms) {
  std::erase(compared_, one);
  drop_needless(now_ms);
}

std::vector<HeldPoints::Copy> HeldPoints::old_copies(const PointRange& points) const {
  std::vector<Copy> old;
  for (const Copy& copy : copies_) {
    for (const PointRange& both : common_points(copy.points, points)) {
      old.push_back({both, copy.until_ms});
    }
  }
  return old;
}

bool HeldPoints::is_whole(const PointRange& points, const NodeKey& asker,
                          std::uint64_t now_ms) const {
  Points known = own_;
  for (const Copy& copy : copies_) {
    known.push_back(copy.points);
  }
  const bool is_in_doubt = std::any_of(doubts_.begin(), doubts_.end(), [&](const Doubt& of) {
    return overlap(of.points, points) && now_ms < of.since_ms + kSourceSilentMs;
  });
  const bool is_compared = std::none_of(compared_.begin(), compared_.end(), [&](const Wanted& one) {
    return overlap(one.points, points) && now_ms < one.since_ms + kSourceSilentMs;
  });
  return !is_in_doubt && is_compared && without({points}, known).empty() &&
         std::none_of(wanted_.begin(), wanted_.end(), [&](const Wanted& one) {
           return overlap(one.points, points) && (one.source == asker || one.covered_ms > now_ms);
         });
}

std::vector<NodeKey> HeldPoints::lacked_from(const PointRange& points, std::uint64_t now_ms) const {
  std::set<NodeKey> sources;
  Points known = own_;
  for (const Copy& copy : copies_) {
    known.push_back(copy.points);
  }
  for (const Wanted& one : wanted_) {
    known.push_back(one.points);
    if (overlap(one.points, points) && one.covered_ms > now_ms) {
      sources.insert(one.source);
    }
  }
  if (!without({points}, known).empty()) {
    sources.insert(own_key_);
  }
  const auto is_about = [&](const Wanted& one) {
    return overlap(one.points, points) && now_ms < one.since_ms + kSourceSilentMs;
  };
  for (const Wanted& one : strangers()) {
    if (is_about(one)) {
      sources.insert(one.source);
    }
  }
  for (const Wanted& one : compared_) {
    if (is_about(one) && is_or_was_owner(one.source, one.points)) {
      sources.insert(one.source);
    }
  }
  return {sources.begin(), sources.end()};
}

storage::Stamp old_before(const std::vector<HeldPoints::Copy>& copies,
                          const storage::Account& account) {
  const std::uint64_t point = storage::point_of(account);
  const auto copy = std::find_if(copies.begin(), copies.end(), [point](const auto& one) {
    return one.points.first <= point && point <= one.points.last;
  });
  return copy == copies.end() ? 0 : storage::stamp_of(copy->until_ms + kClocksApartMs);
}

}  // namespace allium::control::internal
