// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/held_ledger.hpp"

#include <cstddef>
#include <istream>
#include <ostream>
#include <sstream>
#include <utility>

#include "control/service/encoding.hpp"

namespace allium::control::internal {
namespace {

constexpr std::string_view kFirstLine = "allium-held 5";
constexpr std::string_view kEnd = "end";
constexpr std::size_t kEntriesMax = 100'000;
constexpr PointRange kRing{0, UINT64_MAX};

/// How many there are, then each as `write_one` has it.
template <typename List, typename WriteOne>
void write_list(std::ostream& text, std::string_view name, const List& list, WriteOne write_one) {
  text << name << ' ' << list.size() << '\n';
  for (const auto& one : list) {
    write_one(text, one);
    text << '\n';
  }
}

template <typename List, typename ReadOne>
bool read_list(std::istream& text, std::string_view name, List& list, ReadOne read_one) {
  std::string word;
  std::size_t count = 0;
  if (!(text >> word >> count) || word != name || count > kEntriesMax) {
    return false;
  }
  for (std::size_t i = 0; i < count; ++i) {
    typename List::value_type one{};
    if (!read_one(text, one)) {
      return false;
    }
    list.push_back(std::move(one));
  }
  return true;
}

void write_key(std::ostream& text, const NodeKey& key) {
  text << to_hex(key);
}

bool read_key(std::istream& text, NodeKey& key) {
  std::string word;
  text >> word;
  const auto bytes = from_hex(word);
  const auto read = bytes ? array_of<32>(*bytes) : std::nullopt;
  key = read.value_or(NodeKey());
  return read.has_value();
}

void write_points(std::ostream& text, const PointRange& points) {
  text << points.first << ' ' << points.last;
}

bool read_points(std::istream& text, PointRange& points) {
  return (text >> points.first >> points.last) && points.first <= points.last;
}

void write_doubt(std::ostream& text, const Doubt& one) {
  write_points(text, one.points);
  text << ' ' << one.since_ms;
}

bool read_doubt(std::istream& text, Doubt& one) {
  return read_points(text, one.points) && text >> one.since_ms;
}

void write_copy(std::ostream& text, const OldCopy& one) {
  write_points(text, one.points);
  text << ' ' << one.until_ms;
}

bool read_copy(std::istream& text, OldCopy& one) {
  return read_points(text, one.points) && text >> one.until_ms;
}

void write_compared(std::ostream& text, const Wanted& one) {
  write_key(text, one.source);
  text << ' ';
  write_points(text, one.points);
}

bool read_compared(std::istream& text, Wanted& one) {
  one.distance = kComparedOnly;
  return read_key(text, one.source) && read_points(text, one.points);
}

void write_wanted(std::ostream& text, const Wanted& one) {
  write_compared(text, one);
  text << ' ' << one.since_ms << ' ' << one.distance << ' ' << one.covered_ms;
}

bool read_wanted(std::istream& text, Wanted& one) {
  return read_compared(text, one) && text >> one.since_ms >> one.distance >> one.covered_ms;
}

void write_tenure(std::ostream& text, const Tenure& one) {
  write_points(text, one.points);
  text << ' ' << one.since_ms << ' ';
  write_list(text, "from", one.from, write_key);
}

bool read_tenure(std::istream& text, Tenure& one) {
  return read_points(text, one.points) && text >> one.since_ms &&
         read_list(text, "from", one.from, read_key);
}

void write_node(std::ostream& text, const ServiceNode& node) {
  write_key(text, node.ed25519);
  text << ' ' << node.swarm;
}

bool read_node(std::istream& text, ServiceNode& node) {
  const bool is_good = read_key(text, node.ed25519) && text >> node.swarm;
  node.legacy = node.x25519 = node.ed25519;
  return is_good;
}

}  // namespace

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

std::string write_ledger(const HeldLedger& ledger, const std::string& store) {
  if (!ledger.network) {
    return {};
  }
  std::ostringstream text;
  text << kFirstLine << "\nstore " << store << "\nnode " << to_hex(ledger.own_key) << ' '
       << ledger.height << '\n';
  write_list(text, "doubts", ledger.doubts, write_doubt);
  write_list(text, "copies", ledger.copies, write_copy);
  write_list(text, "wanted", ledger.wanted, write_wanted);
  write_list(text, "compared", ledger.compared, write_compared);
  write_list(text, "tenures", ledger.tenures, write_tenure);
  write_list(text, "past", ledger.past, write_tenure);
  write_list(text, "nodes", ledger.network->all(), write_node);
  text << kEnd << '\n';
  return text.str();
}

std::optional<HeldLedger> read_ledger(std::string_view text, const std::string& store) {
  std::istringstream lines{std::string(text)};
  std::string line;
  std::string word;
  HeldLedger ledger;
  std::vector<ServiceNode> nodes;
  const bool is_good = std::getline(lines, line) && line == kFirstLine &&
                       std::getline(lines, line) && line == "store " + store && lines >> word &&
                       word == "node" && read_key(lines, ledger.own_key) &&
                       lines >> ledger.height &&
                       read_list(lines, "doubts", ledger.doubts, read_doubt) &&
                       read_list(lines, "copies", ledger.copies, read_copy) &&
                       read_list(lines, "wanted", ledger.wanted, read_wanted) &&
                       read_list(lines, "compared", ledger.compared, read_compared) &&
                       read_list(lines, "tenures", ledger.tenures, read_tenure) &&
                       read_list(lines, "past", ledger.past, read_tenure) &&
                       read_list(lines, "nodes", nodes, read_node) && lines >> word &&
                       word == kEnd && !(lines >> word);
  if (!is_good) {
    return std::nullopt;
  }
  ledger.network = std::make_shared<const ServiceNodes>(std::move(nodes));
  return ledger;
}

}  // namespace allium::control::internal
