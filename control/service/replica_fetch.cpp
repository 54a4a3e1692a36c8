// SPDX-License-Identifier: Apache-2.0
#include "control/service/replica_fetch.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/json_fields.hpp"
#include "control/service/swarm_peers.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

using internal::number_in;
using internal::text_in;
using internal::while_alive;

constexpr std::string_view kHeldFirstLine = "allium-held 1";
constexpr std::size_t kHeldNodesMax = 100'000;

// Which swarm each node was in, and in which store the messages are: a word about another store says nothing of this one.
std::string held_text(const ServiceNodes& network, const std::string& store) {
  std::ostringstream text;
  text << kHeldFirstLine << "\nstore " << store << '\n';
  for (const ServiceNode& node : network.all()) {
    text << to_hex(node.ed25519) << ' ' << swarm_id_text(node.swarm) << '\n';
  }
  return text.str();
}

std::shared_ptr<const ServiceNodes> parse_held(std::string_view text, const std::string& store) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHeldFirstLine || !std::getline(lines, line) ||
      line != "store " + store) {
    return nullptr;
  }
  std::vector<ServiceNode> nodes;
  std::string key;
  while (nodes.size() < kHeldNodesMax && lines >> key >> std::hex) {
    ServiceNode node;
    const auto bytes = from_hex(key);
    const auto array = bytes ? array_of<32>(*bytes) : std::nullopt;
    if (!array || !(lines >> node.swarm)) {
      return nullptr;
    }
    node.ed25519 = node.legacy = node.x25519 = *array;
    nodes.push_back(node);
  }
  return std::make_shared<const ServiceNodes>(std::move(nodes));
}

std::string point_text(std::uint64_t point) {
  std::array<std::uint8_t, 8> bytes;
  store_be(bytes.data(), point, bytes.size());
  return std::string(text_of(bytes));
}

std::optional<std::uint64_t> point_in(const json::object& dict, std::string_view name) {
  const auto text = text_in(dict, name);
  const auto bytes = text ? array_of<8>(*text) : std::nullopt;
  return bytes ? std::optional(load_be(bytes->data(), bytes->size())) : std::nullopt;
}

struct FetchRequest {
  std::int64_t height = 0;
  storage::Scan scan;
};

std::optional<FetchRequest> parse_request(std::string_view text) {
  const Result<json::value> value = parse_bt(text);
  const auto* dict = value ? value->if_object() : nullptr;
  if (dict == nullptr) {
    return std::nullopt;
  }
  const auto first = point_in(*dict, "f");
  const auto last = point_in(*dict, "t");
  if (!first || !last || *first > *last) {
    return std::nullopt;
  }
  FetchRequest request{number_in(*dict, "g").value_or(0), {*first, *last}};
  if (dict->contains("a")) {
    const auto account = array_of<33>(text_in(*dict, "a").value_or(""));
    const auto hash = text_in(*dict, "h");
    if (!account || !hash || hash->empty() || hash->size() > storage::kHashCharsMax) {
      return std::nullopt;
    }
    const std::uint64_t point = storage::point_of(*account);
    if (point < *first || point > *last) {
      return std::nullopt;
    }
    request.scan.after = storage::MessageId{*account, std::string(*hash)};
  }
  return request;
}

/// Gathers what a reply has room for.
class Page {
 public:
  Page(const Membership& membership, SwarmId swarm) : membership_(membership), swarm_(swarm) {}

  /// False: enough.
  bool visit(const storage::Account& account, const storage::Message& message) {
    if (bytes_ >= kFetchBytesMax || ++visits_ > kFetchVisitsMax) {
      is_over_ = false;
      return false;
    }
    last_ = {account, message.hash};
    if (membership_.swarm_of(account) == swarm_) {
      bytes_ += message.data.size() + storage::kMessageOverheadBytes;
      messages_.emplace_back(account, message);
    }
    return true;
  }

  [[nodiscard]] PeerParts reply() const {
    const std::string next =
        is_over_ ? std::string()
                 : serialise_bt(json::object{{"a", text_of(last_.account)}, {"h", last_.hash}});
    return {"OK", serialise_pushed(messages_), next};
  }

  [[nodiscard]] std::size_t size() const noexcept { return messages_.size(); }

 private:
  const Membership& membership_;
  SwarmId swarm_;
  storage::MessageId last_;
  std::vector<OwnedMessage> messages_;
  std::size_t bytes_ = 0;
  std::size_t visits_ = 0;
  bool is_over_ = true;
};

}  // namespace

ReplicaFetch::ReplicaFetch(FetchSurroundings surroundings, std::string_view held)
    : around_(std::move(surroundings)), held_(parse_held(held, around_.store.id())) {}

void ReplicaFetch::set_held(std::shared_ptr<const ServiceNodes> network) {
  held_ = std::move(network);
  done_.clear();
  if (around_.on_held) {
    around_.on_held(held_ ? held_text(*held_, around_.store.id()) : std::string());
  }
}

/// What `members`, who had the points of `theirs`, have of this node's own.
void ReplicaFetch::add_parts(std::vector<Part>& parts,
                             const std::vector<const ServiceNode*>& members,
                             const PointRange& theirs) const {
  const ServiceNodes& now = *around_.membership.nodes();
  const auto own = now.swarms().points_of(around_.membership.own_swarm());
  if (!own) {
    return;
  }
  for (const PointRange& points : common_points(*own, theirs)) {
    for (const ServiceNode* node : members) {
      const bool is_there = now.find_ed25519(node->ed25519) != nullptr;
      if (is_there && node->ed25519 != around_.membership.own()) {
        parts.push_back({node->ed25519, points, {}});
      }
    }
  }
}

std::vector<ReplicaFetch::Part> ReplicaFetch::parts_wanted() const {
  std::vector<Part> parts;
  if (held_) {
    const ServiceNode* earlier = held_->find_ed25519(around_.membership.own());
    for (const SwarmId swarm : held_->swarms().ids()) {
      if (earlier == nullptr || earlier->swarm != swarm) {
        add_parts(parts, held_->members(swarm), *held_->swarms().points_of(swarm));
      }
    }
    return parts;
  }
  const std::shared_ptr<const ServiceNodes> now = around_.membership.nodes();
  const SwarmId own = around_.membership.own_swarm();
  const std::vector<SwarmId>& ids = now->swarms().ids();
  const auto here = static_cast<std::size_t>(
      std::distance(ids.begin(), std::lower_bound(ids.begin(), ids.end(), own)));
  // Those beside it may have had all of it.
  for (const SwarmId swarm : std::set<SwarmId>{own, ids[(here + 1) % ids.size()],
                                               ids[(here + ids.size() - 1) % ids.size()]}) {
    add_parts(parts, now->members(swarm), *now->swarms().points_of(own));
  }
  return parts;
}

void ReplicaFetch::membership_changed() {
  if (around_.membership.own_swarm() == kNoSwarm) {
    open_.clear();
    if (held_) {
      set_held(nullptr);  // who is in no swarm is told of nothing
    }
  } else {
    plan();
  }
  counters_.parts_open = open_.size();
}

void ReplicaFetch::plan() {
  std::vector<Part> wanted = parts_wanted();
  std::erase_if(wanted, [this](const Part& part) { return done_.contains(part.name()); });
  for (Part& part : wanted) {
    const auto begun = std::find_if(open_.begin(), open_.end(), [&part](const Part& other) {
      return other.name() == part.name();
    });
    if (begun != open_.end()) {
      part.next = begun->next;
    }
  }
  open_ = std::move(wanted);
  go_on();
}

void ReplicaFetch::go_on() {
  counters_.parts_open = open_.size();
  if (open_.empty()) {
    set_held(around_.membership.nodes());
  } else if (!is_busy_) {
    ask();
  }
}

void ReplicaFetch::go_on_later() {
  // Whoever does not answer now comes last.
  std::rotate(open_.begin(), open_.begin() + 1, open_.end());
  is_busy_ = true;
  around_.transport.after(kFetchRetryMs, while_alive(is_alive_, [this] {
                            is_busy_ = false;
                            if (!open_.empty()) {
                              ask();
                            }
                          }));
}

std::string ReplicaFetch::request_text(const Part& part) const {
  json::object request{{"g", around_.membership.height()},
                       {"f", point_text(part.points.first)},
                       {"t", point_text(part.points.last)}};
  if (!part.next.empty()) {
    const Result<json::value> place = parse_bt(part.next);
    const auto* dict = place ? place->if_object() : nullptr;
    if (dict != nullptr) {
      request["a"] = text_in(*dict, "a").value_or("");
      request["h"] = text_in(*dict, "h").value_or("");
    }
  }
  return serialise_bt(request);
}

void ReplicaFetch::ask() {
  const Part part = open_.front();
  const ServiceNode* node = around_.membership.nodes()->find_ed25519(part.source);
  if (node == nullptr) {
    go_on_later();  // plan() follows when the network is known
    return;
  }
  is_busy_ = true;
  auto stored = [this, part](const std::string& next, const PeerParts& result) {
    is_busy_ = false;
    if (result.empty()) {
      taken(part, next);
    } else if (!open_.empty()) {
      go_on_later();
    }
  };
  auto done = [this,
               stored = while_alive(is_alive_, std::move(stored))](const Result<PeerParts>& reply) {
    if (reply && reply->size() == 3 && reply->front() == "OK") {
      around_.take((*reply)[1], [stored, next = (*reply)[2]](const PeerParts& result) mutable {
        stored(next, result);
      });
      return;
    }
    is_busy_ = false;
    if (!open_.empty()) {
      go_on_later();
    }
  };
  around_.transport.request(*node, "sn.allium_fetch", {request_text(part)}, kFetchTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

void ReplicaFetch::taken(const Part& asked, const std::string& next) {
  ++counters_.pages;
  const auto part = std::find_if(open_.begin(), open_.end(), [&asked](const Part& other) {
    return other.name() == asked.name();
  });
  if (part != open_.end()) {
    // An answer that ends where it began would be asked for without end.
    if (next.empty() || next == part->next) {
      done_.insert(part->name());
      open_.erase(part);
    } else {
      part->next = next;
    }
  }
  go_on();
}

void ReplicaFetch::answer(const NodeKey& x25519, std::string_view request,
                          const std::function<void(PeerParts)>& reply) {
  const std::optional<FetchRequest> asked = parse_request(request);
  if (!asked) {
    reply({"400", "expected a bt dict of g, f, t and, together, a and h"});
    return;
  }
  const ServiceNode* node = around_.membership.nodes()->find_x25519(x25519);
  if (node == nullptr || node->swarm == kNoSwarm ||
      asked->height > static_cast<std::int64_t>(around_.membership.height())) {
    reply({"421", "this node does not know that network yet"});
    return;
  }
  Page page(around_.membership, node->swarm);
  const Result<void> read = around_.store.for_each(
      asked->scan, around_.now_ms(),
      [&page](const storage::Account& account, const storage::Message& message) {
        return page.visit(account, message);
      });
  if (!read) {
    reply({"503", "ask again"});
    return;
  }
  counters_.served += page.size();
  reply(page.reply());
}

}  // namespace allium::control
