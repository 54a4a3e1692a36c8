// SPDX-License-Identifier: Apache-2.0
#include "control/service/replica_fetch.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include <boost/json/array.hpp>
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
std::string held_text(const ServiceNodes& network, const std::string& store,
                      std::uint64_t gaining_ms) {
  std::ostringstream text;
  text << kHeldFirstLine << "\nstore " << store << "\ngaining " << gaining_ms << '\n';
  for (const ServiceNode& node : network.all()) {
    text << to_hex(node.ed25519) << ' ' << swarm_id_text(node.swarm) << '\n';
  }
  return text.str();
}

std::shared_ptr<const ServiceNodes> parse_held(std::string_view text, const std::string& store,
                                               std::uint64_t& gaining_ms) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHeldFirstLine || !std::getline(lines, line) ||
      line != "store " + store) {
    return nullptr;
  }
  std::string word;
  if (!(lines >> word >> gaining_ms) || word != "gaining") {
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
  bool wants_revocations = false;
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
  FetchRequest request{number_in(*dict, "g").value_or(0),
                       {*first, *last},
                       text_in(*dict, "k") == std::string_view("r")};
  if (dict->contains("a")) {
    const auto account = array_of<33>(text_in(*dict, "a").value_or(""));
    const auto hash = request.wants_revocations ? std::string_view() : text_in(*dict, "h");
    const bool is_hash = request.wants_revocations ||
                         (hash && !hash->empty() && hash->size() <= storage::kHashCharsMax);
    if (!account || !is_hash) {
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

using Revoked = std::pair<storage::Account, storage::RevokedToken>;

/// Those that can be read.
std::vector<Revoked> parse_revoked(std::string_view text) {
  std::vector<Revoked> revoked;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* entry = (*entries)[i].if_array();
    if (entry == nullptr || entry->size() != 4 || !(*entry)[0].is_string() ||
        !(*entry)[1].is_string() || !(*entry)[2].is_int64() || !(*entry)[3].is_int64()) {
      continue;
    }
    const auto account = array_of<33>(std::string_view((*entry)[0].get_string()));
    const auto token = array_of<36>(std::string_view((*entry)[1].get_string()));
    const std::int64_t timestamp = (*entry)[2].get_int64();
    const std::int64_t asked = (*entry)[3].get_int64();
    if (account && token && timestamp >= 0 && asked >= 0) {
      revoked.emplace_back(*account,
                           storage::RevokedToken{*token, static_cast<std::uint64_t>(timestamp),
                                                 static_cast<storage::Stamp>(asked)});
    }
  }
  return revoked;
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
    return {"OK", serialise_replicas(messages_), next};
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
    : around_(std::move(surroundings)), held_(parse_held(held, around_.store.id(), gaining_ms_)) {}

void ReplicaFetch::set_held(std::shared_ptr<const ServiceNodes> network) {
  held_ = std::move(network);
  gaining_ms_ = 0;
  done_.clear();
  forgotten_.clear();
  keep_held();
}

void ReplicaFetch::keep_held() {
  if (around_.on_held) {
    around_.on_held(held_ ? held_text(*held_, around_.store.id(), gaining_ms_) : std::string());
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
        parts.push_back({node->ed25519, points, false, {}});
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
    if (around_.membership.nodes() != held_) {
      set_held(
          around_.membership.nodes());  // whole for nothing: all it gets to own later, it fetches
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
      part = *begun;
    }
  }
  open_ = std::move(wanted);
  if (!open_.empty() && gaining_ms_ == 0) {
    gaining_ms_ = around_.now_ms();
    keep_held();
  }
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

void ReplicaFetch::later() {
  is_busy_ = false;
  if (!open_.empty()) {
    go_on_later();
  }
}

void ReplicaFetch::ask() {
  const Part part = open_.front();
  const ServiceNode* node = around_.membership.nodes()->find_ed25519(part.source);
  if (node == nullptr) {
    go_on_later();  // plan() follows when the network is known
    return;
  }
  is_busy_ = true;
  if (part.has_revocations) {
    ask_for_messages(*node, part);
  } else {
    ask_for_revocations(*node, part);
  }
}

void ReplicaFetch::ask_for_messages(const ServiceNode& node, const Part& part) {
  auto stored = [this, part](const std::string& next, const PeerParts& result) {
    if (result.empty()) {
      is_busy_ = false;
      taken(part, next);
    } else {
      later();
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
    later();
  };
  around_.transport.request(node, "sn.allium_fetch", {request_text(part)}, kFetchTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

void ReplicaFetch::ask_for_revocations(const ServiceNode& node, const Part& part) {
  json::object request{{"g", around_.membership.height()},
                       {"f", point_text(part.points.first)},
                       {"t", point_text(part.points.last)},
                       {"k", "r"}};
  if (!part.next.empty()) {
    request["a"] = part.next;
  }
  auto done = [this, part](const Result<PeerParts>& reply) {
    if (!reply || reply->size() != 3 || reply->front() != "OK") {
      later();
    } else if (held_ && !forgotten_.contains({part.points.first, part.points.last})) {
      forget_then_ask(part.points);
    } else {
      take_revocations(part, (*reply)[1], (*reply)[2]);
    }
  };
  around_.transport.request(node, "sn.allium_fetch", {serialise_bt(request)}, kFetchTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

void ReplicaFetch::forget_then_ask(const PointRange& points) {
  auto done = [this, points](bool is_done) {
    if (!is_done) {
      later();
      return;
    }
    is_busy_ = false;
    forgotten_.insert({points.first, points.last});
    go_on();
  };
  around_.store.forget(points.first, points.last, storage::stamp_of(gaining_ms_),
                       [post = around_.post, then = while_alive(is_alive_, std::move(done))](
                           const Result<std::size_t>& count) {
                         post([then, is_done = count.has_value()]() mutable { then(is_done); });
                       });
}

void ReplicaFetch::take_revocations(const Part& part, std::string_view text,
                                    const std::string& next) {
  const std::vector<Revoked> revoked = parse_revoked(text);
  auto is_kept = std::make_shared<bool>(true);
  auto done = [this, part, next, is_kept] {
    if (!*is_kept) {
      later();
      return;
    }
    is_busy_ = false;
    const auto open = std::find_if(open_.begin(), open_.end(), [&part](const Part& other) {
      return other.name() == part.name();
    });
    if (open != open_.end()) {
      open->has_revocations = next.empty() || next == part.next;
      open->next = open->has_revocations ? std::string() : next;
    }
    go_on();
  };
  const auto one_less = after_all(revoked.size() + 1, while_alive(is_alive_, std::move(done)));
  const std::uint64_t now_ms = around_.now_ms();
  for (const auto& [account, one] : revoked) {
    if (!around_.membership.is_ours(account) || one.asked > storage::stamp_of(now_ms)) {
      one_less();
      continue;
    }
    around_.store.revoke(
        account, {one.token}, one.timestamp_ms, {now_ms, one.asked},
        [post = around_.post, one_less, is_kept](const Result<std::size_t>& count) {
          post([one_less, is_kept, is_done = count.has_value()] {
            *is_kept &= is_done;
            one_less();
          });
        });
  }
  one_less();
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
  around_.on_given(node->ed25519);
  if (asked->wants_revocations) {
    answer_revocations(*node, asked->scan, reply);
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

void ReplicaFetch::answer_revocations(const ServiceNode& node, const storage::Scan& scan,
                                      const std::function<void(PeerParts)>& reply) {
  json::array list;
  std::string next;
  std::optional<storage::Account> last;
  const auto place = [](const storage::Account& of) {
    return std::pair(storage::point_of(of), of);
  };
  const auto visit = [&](const storage::Account& account, const storage::RevokedToken& one) {
    const bool is_before = scan.after && place(account) <= place(scan.after->account);
    if (is_before || around_.membership.swarm_of(account) != node.swarm) {
      return true;
    }
    // A page ends where an account ends.
    if (list.size() >= kFetchRevokedMax && account != *last) {
      next = text_of(*last);
      return false;
    }
    last = account;
    list.emplace_back(
        json::array{text_of(account), text_of(one.token), one.timestamp_ms, one.asked});
    return true;
  };
  if (!around_.store.for_each_revoked(scan, visit)) {
    reply({"503", "ask again"});
    return;
  }
  reply({"OK", serialise_bt(list), next});
}

}  // namespace allium::control
