// SPDX-License-Identifier: Apache-2.0
#include "control/service/replica_fetch.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/json_fields.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/namespaces.hpp"
#include "control/service/swarm_peers.hpp"
#include "storage/message_history.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

using internal::number_in;
using internal::text_in;
using internal::while_alive;

constexpr const char* kWhole = "OK";
constexpr const char* kInPart = "PART";
/// Of two good nodes.
constexpr std::uint64_t kClocksApartMs = 4'000;

using Revoked = std::pair<storage::Account, storage::RevokedToken>;
using Copies = std::vector<internal::HeldPoints::Copy>;

/// What was stored before that is of the old copy; what was later has come since.
storage::Stamp old_before(const Copies& copies, const storage::Account& account) {
  const std::uint64_t point = storage::point_of(account);
  const auto copy = std::find_if(copies.begin(), copies.end(), [point](const auto& one) {
    return one.points.first <= point && point <= one.points.last;
  });
  return copy == copies.end() ? 0 : storage::stamp_of(copy->until_ms + kClocksApartMs);
}

bool is_page(const PeerParts& reply) {
  return reply.size() >= 3 && (reply.front() == kWhole || reply.front() == kInPart);
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

}  // namespace

struct ReplicaFetch::Request {
  std::int64_t height = 0;
  storage::Scan scan;
  std::string kind;
  std::string old_messages;
  std::string old_revocations;
};

namespace {

std::optional<ReplicaFetch::Request> parse_request(std::string_view text) {
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
  ReplicaFetch::Request request{number_in(*dict, "g").value_or(0),
                                {*first, *last},
                                std::string(text_in(*dict, "k").value_or("")),
                                std::string(text_in(*dict, "m").value_or("")),
                                std::string(text_in(*dict, "r").value_or(""))};
  if (dict->contains("a")) {
    const auto account = array_of<33>(text_in(*dict, "a").value_or(""));
    const bool wants_revocations = request.kind == "r";
    const auto hash = wants_revocations ? std::string_view() : text_in(*dict, "h");
    const bool is_hash =
        wants_revocations || (hash && !hash->empty() && hash->size() <= storage::kHashCharsMax);
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

json::array revoked_entry(const Revoked& revoked) {
  const auto& [account, one] = revoked;
  return {text_of(account), text_of(one.token), one.timestamp_ms, one.asked};
}

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

std::string place_text(const storage::Account& account, const storage::Hash& hash) {
  return serialise_bt(json::object{{"a", text_of(account)}, {"h", hash}});
}

std::optional<storage::MessageId> place_in(const std::string& text) {
  const Result<json::value> place = parse_bt(text);
  const auto* dict = place ? place->if_object() : nullptr;
  const auto account =
      dict == nullptr ? std::nullopt : array_of<33>(text_in(*dict, "a").value_or(""));
  if (!account) {
    return std::nullopt;
  }
  return storage::MessageId{*account, std::string(text_in(*dict, "h").value_or(""))};
}

/// Gathers what a reply has room for of revocations. It ends where an account ends.
class RevokedPage {
 public:
  explicit RevokedPage(const std::optional<storage::MessageId>& after) {
    if (after) {
      after_ = place_of(after->account);
    }
  }

  /// False: enough.
  bool visit(const Revoked& one, bool is_wanted) {
    if ((after_ && place_of(one.first) <= *after_) || !is_wanted) {
      return true;
    }
    if (revoked.size() >= kFetchRevokedMax && one.first != revoked.back().first) {
      last = revoked.back().first;
      return false;
    }
    revoked.push_back(one);
    return true;
  }

  std::vector<Revoked> revoked;
  std::optional<storage::Account> last;  ///< the account behind which to go on

 private:
  using Place = std::pair<std::uint64_t, storage::Account>;

  static Place place_of(const storage::Account& account) {
    return {storage::point_of(account), account};
  }

  std::optional<Place> after_;
};

/// Each once.
std::vector<std::size_t> places_in(std::string_view text, std::size_t count) {
  std::set<std::size_t> places;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* place = (*entries)[i].if_int64();
    if (place != nullptr && *place >= 0 && static_cast<std::size_t>(*place) < count) {
      places.insert(static_cast<std::size_t>(*place));
    }
  }
  return {places.begin(), places.end()};
}

std::vector<NodeKey> keys_in(std::string_view text) {
  std::vector<NodeKey> keys;
  const Result<json::value> list = parse_bt(text);
  const auto* entries = list ? list->if_array() : nullptr;
  for (std::size_t i = 0; entries != nullptr && i < entries->size(); ++i) {
    const auto* entry = (*entries)[i].if_string();
    if (const auto key = entry == nullptr ? std::nullopt : array_of<32>(*entry)) {
      keys.push_back(*key);
    }
  }
  return keys;
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

  [[nodiscard]] std::string messages() const { return serialise_replicas(messages_); }

  /// Where to go on.
  [[nodiscard]] std::string next() const {
    return is_over_ ? std::string() : place_text(last_.account, last_.hash);
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
    : around_(std::move(surroundings)), held_(held, around_.store.id()), kept_(held) {}

void ReplicaFetch::keep_held() {
  std::string text = held_.text(around_.store.id());
  if (around_.on_held && text != kept_) {
    around_.on_held(text);
    kept_ = std::move(text);
  }
}

void ReplicaFetch::membership_changed() {
  held_.update(around_.membership.nodes(), around_.membership.own(), around_.now_ms());
  plan();
}

/// What is wanted now, in the order of before, and what is new behind it.
void ReplicaFetch::plan() {
  std::vector<internal::Wanted> wanted = held_.wanted();
  std::vector<Part> parts;
  for (Part& part : open_) {
    const auto still = std::find_if(wanted.begin(), wanted.end(), [&part](const auto& one) {
      return one.source == part.wanted.source && one.points == part.wanted.points &&
             one.since_ms == part.wanted.since_ms;
    });
    if (still != wanted.end()) {
      part.wanted = *still;
      parts.push_back(std::move(part));
      wanted.erase(still);
    }
  }
  for (const internal::Wanted& one : wanted) {
    parts.push_back({one});
  }
  open_ = std::move(parts);
  keep_held();
  go_on();
}

void ReplicaFetch::go_on() {
  counters_.parts_open = open_.size();
  if (!open_.empty() && !is_busy_) {
    ask();
  }
}

void ReplicaFetch::go_on_later() {
  // Whoever does not answer now comes last.
  std::rotate(open_.begin(), open_.begin() + 1, open_.end());
  is_busy_ = true;
  around_.transport.after(kFetchRetryMs, while_alive(is_alive_, [this] {
                            is_busy_ = false;
                            go_on();
                          }));
}

void ReplicaFetch::later() {
  is_busy_ = false;
  if (!open_.empty()) {
    go_on_later();
  }
}

ReplicaFetch::Part* ReplicaFetch::find(const Part& part) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&part](const Part& other) {
    return other.wanted.source == part.wanted.source && other.wanted.points == part.wanted.points &&
           other.wanted.since_ms == part.wanted.since_ms;
  });
  return found == open_.end() ? nullptr : &*found;
}

json::object ReplicaFetch::request_for(const Part& part) const {
  return {{"g", around_.membership.height()},
          {"f", point_text(part.wanted.points.first)},
          {"t", point_text(part.wanted.points.last)}};
}

void ReplicaFetch::ask() {
  const auto first = std::find_if(open_.begin(), open_.end(), [this](const Part& part) {
    return !held_.is_for_later(part.wanted, around_.now_ms());
  });
  std::rotate(open_.begin(), first, open_.end());
  const Part part = open_.front();
  is_busy_ = true;
  switch (part.stage) {
    case Stage::old_messages:
    case Stage::old_revocations:
      return ask_about_old_copy(part);
    case Stage::revocations:
      return ask_for_revocations(part);
    case Stage::messages:
      return ask_for_messages(part);
  }
}

/// `then` is called with what a page or an answer about the old copy is.
void ReplicaFetch::ask(const Part& part, std::string request,
                       std::function<void(const PeerParts&)> then) {
  const ServiceNode* node = around_.membership.find(part.wanted.source);
  if (node == nullptr) {
    later();  // plan() follows when the network is known
    return;
  }
  auto done = [this, part, then = std::move(then)](const Result<PeerParts>& reply) {
    if (!reply || !is_page(*reply)) {
      later();
      return;
    }
    held_.heard(part.wanted, around_.now_ms());
    if (Part* open = find(part)) {
      open->is_whole = open->is_whole && reply->front() == kWhole;
    }
    then(*reply);
  };
  around_.transport.request(*node, "sn.allium_fetch", {std::move(request)}, kFetchTimeoutMs,
                            while_alive(is_alive_, std::move(done)));
}

void ReplicaFetch::stage_over(const Part& asked) {
  if (Part* part = find(asked)) {
    part->stage = static_cast<Stage>(static_cast<int>(asked.stage) + 1);
    part->next.clear();
    if (part->stage == Stage::revocations && part->is_whole && part->wanted.distance == 0) {
      held_.compared(part->wanted.points);
      keep_held();
    }
  }
  is_busy_ = false;
  go_on();
}

void ReplicaFetch::page_over(const Part& asked, const std::string& next) {
  // An answer that ends where it began would be asked for without end.
  if (next.empty() || next == asked.next) {
    stage_over(asked);
    return;
  }
  if (Part* part = find(asked)) {
    part->next = next;
  }
  is_busy_ = false;
  go_on();
}

// The old copy.

Result<ReplicaFetch::OldPage> ReplicaFetch::old_messages(const Part& part) const {
  OldPage page;
  const Copies copies = held_.old_copies(part.wanted.points);
  if (copies.empty()) {
    return page;
  }
  const std::uint64_t now_ms = around_.now_ms();
  std::size_t visits = 0;
  storage::MessageId last;
  const auto visit = [&](const storage::Account& account, const storage::Message& message) {
    if (page.messages.size() >= kOldCopyPageMax || ++visits > kFetchVisitsMax) {
      page.next = place_text(last.account, last.hash);
      return false;
    }
    last = {account, message.hash};
    if (storage::last_stored(message, now_ms) < old_before(copies, account)) {
      page.messages.emplace_back(account, message);
      page.messages.back().second.data.clear();
    }
    return true;
  };
  const storage::Scan scan{part.wanted.points.first, part.wanted.points.last, place_in(part.next)};
  if (const Result<void> read = around_.store.for_each(scan, now_ms, visit); !read) {
    return tl::unexpected(read.error());
  }
  return page;
}

Result<ReplicaFetch::OldPage> ReplicaFetch::old_revocations(const Part& part) const {
  OldPage page;
  const Copies copies = held_.old_copies(part.wanted.points);
  if (copies.empty()) {
    return page;
  }
  const storage::Scan scan{part.wanted.points.first, part.wanted.points.last, place_in(part.next)};
  RevokedPage gathered(scan.after);
  const auto visit = [&](const storage::Account& account, const storage::RevokedToken& one) {
    return gathered.visit({account, one}, one.asked < old_before(copies, account));
  };
  if (const Result<void> read = around_.store.for_each_revoked(scan, visit); !read) {
    return tl::unexpected(read.error());
  }
  page.revoked = std::move(gathered.revoked);
  if (gathered.last) {
    page.next = place_text(*gathered.last, "");
  }
  return page;
}

void ReplicaFetch::ask_about_old_copy(const Part& part) {
  Result<OldPage> page =
      part.stage == Stage::old_messages ? old_messages(part) : old_revocations(part);
  if (!page) {
    later();
    return;
  }
  if (page->messages.empty() && page->revoked.empty()) {
    around_.post(
        while_alive(is_alive_, [this, part, next = page->next] { page_over(part, next); }));
    return;
  }
  json::array revoked;
  for (const Revoked& one : page->revoked) {
    revoked.emplace_back(revoked_entry(one));
  }
  json::object request = request_for(part);
  request["k"] = "o";
  request["m"] = serialise_replicas(page->messages);
  request["r"] = serialise_bt(revoked);
  ask(part, serialise_bt(request), [this, part, page = *std::move(page)](const PeerParts& reply) {
    erase_gone(part, page, reply);
  });
}

// Without a trace: another member who has it may give it back.
void ReplicaFetch::erase_gone(const Part& part, const OldPage& page, const PeerParts& reply) {
  std::map<storage::Account, std::vector<storage::Hash>> gone;
  const auto erase_at = [&](const std::string& list) {
    for (const std::size_t place : places_in(list, page.messages.size())) {
      const auto& [account, message] = page.messages[place];
      gone[account].push_back(message.hash);
    }
  };
  erase_at(reply[1]);
  std::vector<std::size_t> lifted;
  // That something is not there says little of those who had it longer ago: it may have come to others since.
  if (part.wanted.distance == 0 && reply.size() > 3) {
    erase_at(reply[3]);
    lifted = places_in(reply[2], page.revoked.size());
  }
  auto is_done = std::make_shared<bool>(true);
  auto then = [this, part, next = page.next, is_done] {
    if (*is_done) {
      page_over(part, next);
    } else {
      later();
    }
  };
  const auto one_less =
      after_all(gone.size() + lifted.size() + 1, while_alive(is_alive_, std::move(then)));
  const auto done = [post = around_.post, one_less, is_done](const Result<std::size_t>& count) {
    post([one_less, is_done, is_good = count.has_value()] {
      *is_done &= is_good;
      one_less();
    });
  };
  const Copies copies = held_.old_copies(part.wanted.points);
  for (auto& [account, hashes] : gone) {
    around_.store.forget(account, std::move(hashes), old_before(copies, account), done);
  }
  for (const std::size_t place : lifted) {
    const auto& [account, one] = page.revoked[place];
    around_.store.unrevoke(account, {one.token}, {around_.now_ms(), one.asked}, done);
  }
  one_less();
}

// What the others have.

void ReplicaFetch::ask_for_messages(const Part& part) {
  json::object request = request_for(part);
  if (const auto place = place_in(part.next)) {
    request["a"] = text_of(place->account);
    request["h"] = place->hash;
  }
  auto stored = [this, part](const PeerParts& reply, const PeerParts& result) {
    if (!result.empty()) {
      later();
      return;
    }
    ++counters_.pages;
    if (reply[2].empty() || reply[2] == part.next) {
      through(part, reply);
    } else {
      page_over(part, reply[2]);
    }
  };
  ask(part, serialise_bt(request),
      [this, stored = while_alive(is_alive_, std::move(stored))](const PeerParts& reply) {
        around_.take(reply[1],
                     [stored, reply](const PeerParts& result) mutable { stored(reply, result); });
      });
}

void ReplicaFetch::through(const Part& asked, const PeerParts& reply) {
  is_busy_ = false;
  if (const Part* part = find(asked)) {
    const std::vector<NodeKey> named =
        reply.size() > 3 ? keys_in(reply[3]) : std::vector<NodeKey>();
    held_.through(part->wanted, part->is_whole, named, around_.now_ms());
  }
  plan();
}

void ReplicaFetch::ask_for_revocations(const Part& part) {
  json::object request = request_for(part);
  request["k"] = "r";
  if (!part.next.empty()) {
    request["a"] = part.next;
  }
  ask(part, serialise_bt(request),
      [this, part](const PeerParts& reply) { take_revocations(part, reply[1], reply[2]); });
}

void ReplicaFetch::take_revocations(const Part& part, std::string_view text,
                                    const std::string& next) {
  const std::vector<Revoked> revoked = parse_revoked(text);
  auto is_kept = std::make_shared<bool>(true);
  auto done = [this, part, next, is_kept] {
    if (*is_kept) {
      page_over(part, next);
    } else {
      later();
    }
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

// What others ask.

void ReplicaFetch::answer(const NodeKey& x25519, std::string_view request,
                          const std::function<void(PeerParts)>& reply) {
  const std::optional<Request> asked = parse_request(request);
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
  if (asked->kind == "o") {
    answer_old_copy(*node, *asked, reply);
    return;
  }
  around_.on_given(node->ed25519);
  if (asked->kind == "r") {
    answer_revocations(*node, asked->scan, reply);
  } else {
    answer_messages(*node, asked->scan, reply);
  }
}

bool ReplicaFetch::is_whole_for(const ServiceNode& asker, const storage::Scan& scan) const {
  return held_.is_whole({scan.first, scan.last}, asker.ed25519, around_.now_ms());
}

void ReplicaFetch::answer_messages(const ServiceNode& node, const storage::Scan& scan,
                                   const std::function<void(PeerParts)>& reply) {
  Page page(around_.membership, node.swarm);
  const Result<void> read = around_.store.for_each(
      scan, around_.now_ms(),
      [&page](const storage::Account& account, const storage::Message& message) {
        return page.visit(account, message);
      });
  if (!read) {
    reply({"503", "ask again"});
    return;
  }
  counters_.served += page.size();
  PeerParts parts = {kWhole, page.messages(), page.next()};
  if (!is_whole_for(node, scan)) {
    json::array keys;
    for (const NodeKey& key : held_.lacked_from({scan.first, scan.last}, around_.now_ms())) {
      keys.emplace_back(text_of(key));
    }
    parts.front() = kInPart;
    parts.push_back(serialise_bt(keys));
  }
  reply(std::move(parts));
}

void ReplicaFetch::answer_revocations(const ServiceNode& node, const storage::Scan& scan,
                                      const std::function<void(PeerParts)>& reply) {
  RevokedPage page(scan.after);
  const auto visit = [&](const storage::Account& account, const storage::RevokedToken& one) {
    return page.visit({account, one}, around_.membership.swarm_of(account) == node.swarm);
  };
  if (!around_.store.for_each_revoked(scan, visit)) {
    reply({"503", "ask again"});
    return;
  }
  json::array list;
  for (const Revoked& one : page.revoked) {
    list.emplace_back(revoked_entry(one));
  }
  reply({is_whole_for(node, scan) ? kWhole : kInPart, serialise_bt(list),
         page.last ? std::string(text_of(*page.last)) : std::string()});
}

void ReplicaFetch::answer_old_copy(const ServiceNode& node, const Request& asked,
                                   const std::function<void(PeerParts)>& reply) {
  const auto messages = parse_pushed(asked.old_messages);
  const std::vector<Revoked> revoked = parse_revoked(asked.old_revocations);
  // A page of revocations ends where an account ends.
  if (!messages || messages->size() > kOldCopyPageMax ||
      revoked.size() > kFetchRevokedMax + storage::kRevokedMax) {
    reply({"400", messages ? "more than a page" : messages.error().text});
    return;
  }
  const auto is_askers = [&](const storage::Account& account) {
    const std::uint64_t point = storage::point_of(account);
    return asked.scan.first <= point && point <= asked.scan.last &&
           around_.membership.swarm_of(account) == node.swarm;
  };
  const bool is_whole = is_whole_for(node, asked.scan);
  // What has been stored since it was others' this node need not know.
  const auto is_known = [&](const storage::Account& account, storage::Stamp stored) {
    const std::uint64_t until_ms = held_.whole_until_ms(storage::point_of(account));
    return is_whole && until_ms > kClocksApartMs &&
           stored < storage::stamp_of(until_ms - kClocksApartMs);
  };
  const std::uint64_t now_ms = around_.now_ms();
  json::array gone;
  json::array absent;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const auto& [account, message] = (*messages)[i];
    if (!is_askers(account)) {
      continue;
    }
    const auto effect = around_.store.try_store(account, message, storage::Origin::replica,
                                                is_public_outbox(message.space), now_ms);
    if (!effect) {
      reply({"503", "ask again"});
      return;
    }
    const bool is_absent = *effect == storage::StoreEffect::inserted;
    const bool is_here = *effect == storage::StoreEffect::already;
    if (!is_absent && !is_here) {
      gone.emplace_back(i);
    } else if (is_absent && is_known(account, storage::last_stored(message, now_ms))) {
      absent.emplace_back(i);
    }
  }
  json::array lifted;
  for (std::size_t i = 0; i < revoked.size(); ++i) {
    const auto& [account, one] = revoked[i];
    if (!is_askers(account)) {
      continue;
    }
    const auto tokens = around_.store.revoked(account);
    if (!tokens) {
      reply({"503", "ask again"});
      return;
    }
    if (std::find(tokens->begin(), tokens->end(), one.token) == tokens->end() &&
        is_known(account, one.asked)) {
      lifted.emplace_back(i);
    }
  }
  reply({is_whole ? kWhole : kInPart, serialise_bt(gone), serialise_bt(lifted),
         serialise_bt(absent)});
}

}  // namespace allium::control
