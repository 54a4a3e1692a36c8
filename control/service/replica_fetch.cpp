// SPDX-License-Identifier: Apache-2.0
#include "control/service/replica_fetch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/fetch_format.hpp"
#include "control/service/missed_records.hpp"
#include "control/service/swarm_peers.hpp"
#include "storage/message_history.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

using internal::kFetchVisitsMax;
using internal::kFetchWhole;
using internal::kOldCopyPageMax;
using internal::old_before;
using internal::OwnedRevocation;
using internal::place_in;
using internal::place_text;
using internal::RevokedPage;
using internal::while_alive;

using Copies = std::vector<internal::OldCopy>;

/// How far it is may change meanwhile, but not what is wanted of it.
bool is_same(const internal::Wanted& one, const internal::Wanted& other) {
  const auto kind = [](const internal::Wanted& of) {
    return of.distance < internal::kComparedOnly ? 0 : of.distance;
  };
  return one.source == other.source && one.points == other.points &&
         one.since_ms == other.since_ms && kind(one) == kind(other);
}

}  // namespace

ReplicaFetch::ReplicaFetch(FetchSurroundings surroundings, std::string_view held)
    : around_(std::move(surroundings)),
      held_(held, around_.store.id()),
      answers_(around_.store, around_.membership, held_, holders_, around_.now_ms),
      kept_(held) {
  if (held_.network()) {
    holders_.was_away(*held_.network(), held_.own_key());
  }
}

void ReplicaFetch::keep_held() {
  std::string text = held_.text(around_.store.id());
  if (around_.on_held && text != kept_) {
    around_.on_held(text);
    kept_ = std::move(text);
  }
}

void ReplicaFetch::membership_changed() {
  const std::uint64_t now_ms = around_.now_ms();
  const Membership& membership = around_.membership;
  held_.update(membership.nodes(), membership.own(), membership.height(), now_ms);
  if (holders_.update(*membership.nodes(), membership.own(), now_ms)) {
    held_.ask_swarm(now_ms);
  }
  std::erase_if(answered_, [&membership](const auto& one) {
    return membership.nodes()->find_ed25519(one.first) == nullptr;
  });
  plan();
}

/// What is wanted now, in the order of before, and what is new behind it.
void ReplicaFetch::plan() {
  std::vector<internal::Wanted> wanted = held_.wanted();
  for (internal::Wanted& one : held_.strangers()) {
    wanted.push_back(one);
  }
  for (const internal::Wanted& one : held_.compared()) {
    wanted.push_back(one);
  }
  std::vector<Part> parts;
  for (Part& part : open_) {
    const auto still = std::find_if(wanted.begin(), wanted.end(),
                                    [&part](const auto& one) { return is_same(one, part.wanted); });
    if (still != wanted.end()) {
      part.wanted = *still;
      parts.push_back(std::move(part));
      wanted.erase(still);
    }
  }
  for (const internal::Wanted& one : wanted) {
    // Of these there may be many who know nothing of it.
    parts.push_back(
        {one, one.distance >= internal::kComparedOnly ? Stage::probe : Stage::old_messages});
  }
  open_ = std::move(parts);
  keep_held();
  go_on();
}

void ReplicaFetch::given(const storage::Account& account, storage::Stamp stored) {
  if (held_.given(account, stored, around_.now_ms())) {
    plan();
  }
}

void ReplicaFetch::answers(const NodeKey& ed25519) {
  if (const auto asked = answered_.find(ed25519); asked != answered_.end()) {
    asked->second = true;
  }
  const storage::StoreStatus status = around_.store.status();
  holders_.answers(ed25519, !status.is_broken && status.bytes_used < status.bytes_limit,
                   around_.now_ms());
}

void ReplicaFetch::go_on() {
  counters_.parts_open = open_.size();
  if (!open_.empty() && !is_busy_) {
    ask();
  }
}

void ReplicaFetch::go_on_after(std::uint64_t delay_ms) {
  is_busy_ = true;
  around_.transport.after(delay_ms, while_alive(is_alive_, [this] {
                            is_busy_ = false;
                            go_on();
                          }));
}

void ReplicaFetch::later() {
  is_busy_ = false;
  if (!open_.empty()) {
    std::rotate(open_.begin(), open_.begin() + 1, open_.end());
    go_on_after(kFetchRetryMs);
  }
}

/// Of strangers there are many, and some may be gone for good.
void ReplicaFetch::later(const Part& part) {
  if (part.wanted.distance != internal::kStranger) {
    answered_[part.wanted.source] = false;
    // Whoever does not answer now comes last, and this part of his behind his others.
    const auto order = [&part](const Part& one) {
      return one.wanted.source != part.wanted.source ? 0 : is_same(one.wanted, part.wanted) ? 2 : 1;
    };
    std::stable_sort(open_.begin(), open_.end(), [&order](const Part& one, const Part& other) {
      return order(one) < order(other);
    });
    const auto next = next_part();
    go_on_after(next == open_.end() || is_silent(*next) ? kFetchRetryMs : kNextAfterMs);
    if (held_.silent(part.wanted, around_.now_ms())) {
      plan();
    }
    return;
  }
  held_.stranger_silent(part.wanted);
  std::erase_if(open_, [&part](const Part& other) { return other.wanted == part.wanted; });
  is_busy_ = true;
  const bool were_all_silent = ++strangers_silent_ >= held_.strangers_left();
  around_.transport.after(were_all_silent ? kFetchRetryMs : kNextAfterMs,
                          while_alive(is_alive_, [this] {
                            is_busy_ = false;
                            plan();
                          }));
}

ReplicaFetch::Part* ReplicaFetch::find(const Part& part) {
  const auto found = std::find_if(open_.begin(), open_.end(), [&part](const Part& other) {
    return is_same(other.wanted, part.wanted);
  });
  return found == open_.end() ? nullptr : &*found;
}

json::object ReplicaFetch::request_for(const Part& part) const {
  return {{"g", around_.membership.height()},
          {"f", internal::point_text(part.wanted.points.first)},
          {"t", internal::point_text(part.wanted.points.last)}};
}

bool ReplicaFetch::is_silent(const Part& part) const {
  const auto answered = answered_.find(part.wanted.source);
  return answered != answered_.end() && !answered->second;
}

/// Who has never answered this process may be gone; who is only slow is given more time when all others have been asked.
std::uint64_t ReplicaFetch::timeout_ms(const Part& part) const {
  return part.stage != Stage::probe && answered_.contains(part.wanted.source) ? kFetchTimeoutMs
                                                                              : kSwarmTimeoutMs;
}

std::vector<ReplicaFetch::Part>::iterator ReplicaFetch::next_part() {
  const auto is_next = [this](const Part& part) {
    return !held_.is_for_later(part.wanted, around_.now_ms());
  };
  const auto next = std::find_if(open_.begin(), open_.end(), [&](const Part& part) {
    return is_next(part) && !is_silent(part);
  });
  return next != open_.end() ? next : std::find_if(open_.begin(), open_.end(), is_next);
}

void ReplicaFetch::ask() {
  const auto first = next_part();
  if (first == open_.end()) {
    go_on_after(kFetchRetryMs);
    return;
  }
  std::rotate(open_.begin(), first, open_.end());
  const Part part = open_.front();
  is_busy_ = true;
  switch (part.stage) {
    case Stage::probe:
      return ask_whether_it_had(part);
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
    if (!reply || !internal::is_fetch_page(*reply)) {
      later(part);
      return;
    }
    strangers_silent_ = 0;
    answered_[part.wanted.source] = true;
    held_.heard(part.wanted, around_.now_ms());
    if (Part* open = find(part)) {
      open->is_whole = open->is_whole && reply->front() == kFetchWhole;
    }
    then(*reply);
  };
  around_.transport.request(*node, "sn.allium_fetch", {std::move(request)}, timeout_ms(part),
                            while_alive(is_alive_, std::move(done)));
}

void ReplicaFetch::stage_over(const Part& asked) {
  const bool is_all = asked.wanted.distance == internal::kComparedOnly;
  if (is_all && asked.stage == Stage::old_revocations) {
    compared(asked);
    return;
  }
  if (Part* part = find(asked)) {
    part->stage = static_cast<Stage>(static_cast<int>(asked.stage) + 1);
    part->next.clear();
  }
  is_busy_ = false;
  go_on();
}

void ReplicaFetch::compared(const Part& asked) {
  is_busy_ = false;
  held_.compared_with(asked.wanted, around_.now_ms());
  plan();
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

// Strangers.

void ReplicaFetch::ask_whether_it_had(const Part& part) {
  json::object request = request_for(part);
  request["k"] = "p";
  ask(part, serialise_bt(request), [this, part](const PeerParts& reply) {
    const bool is_for_comparison = part.wanted.distance == internal::kComparedOnly;
    if (reply.front() != internal::kFetchNothing) {
      held_.has_had(part.wanted);
      stage_over(part);
    } else if (is_for_comparison) {
      compared(part);
    } else {
      through(part, reply);
    }
  });
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
    // Also of what was stored since: what is known here of its life may have begun before.
    if (storage::first_stored(message, now_ms) < old_before(copies, account)) {
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
  for (const OwnedRevocation& one : page->revoked) {
    revoked.emplace_back(internal::revoked_entry(one));
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
  // As it was when the other was asked.
  std::map<std::pair<storage::Account, storage::Stamp>, std::vector<storage::Hash>> gone;
  const auto erase_at = [&](const std::string& list) {
    for (const std::size_t place : internal::places_in(list, page.messages.size())) {
      const auto& [account, message] = page.messages[place];
      gone[{account, storage::last_stored(message, around_.now_ms()) + 1}].push_back(message.hash);
    }
  };
  erase_at(reply[1]);
  // They are given next.
  if (reply.size() > 3 && part.wanted.distance != internal::kComparedOnly) {
    erase_at(reply[3]);
  }
  const std::vector<std::size_t> lifted = internal::places_in(reply[2], page.revoked.size());
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
  for (auto& [of, hashes] : gone) {
    around_.store.forget(of.first, std::move(hashes), of.second, done);
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
  if (reply.front() != internal::kFetchNothing) {
    held_.has_had(asked.wanted);
  }
  if (asked.wanted.distance == internal::kStranger) {
    held_.stranger_through(asked.wanted, around_.now_ms());
  } else if (const Part* part = find(asked)) {
    const auto keys = [&reply](std::size_t i) {
      return i < reply.size() ? internal::keys_in(reply[i]) : std::vector<NodeKey>();
    };
    const std::vector<NodeKey> named = keys(3);
    for (const NodeKey& key : keys(4)) {
      held_.has_had({key, asked.wanted.points});
    }
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
  const std::vector<OwnedRevocation> revoked = internal::parse_revoked(text);
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
    given(account, one.asked);
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
  const std::optional<internal::FetchRequest> asked = internal::parse_fetch_request(request);
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
  // By that one the answer would be less than what there is, and be taken for everything.
  const bool is_askers =
      internal::without({{asked->scan.first, asked->scan.last}},
                        internal::points_of(*around_.membership.nodes(), node->ed25519))
          .empty();
  if (!is_askers && asked->height < static_cast<std::int64_t>(around_.membership.height())) {
    reply({"421", "this node knows a newer network"});
    return;
  }
  if (asked->kind != "o" && asked->kind != "p") {
    around_.on_given(node->ed25519);
  }
  answers_.answer(*node, *asked, reply);
  counters_.served = answers_.served();
  if (asked->kind.empty() && holders_.lost_its_store(node->ed25519, around_.now_ms())) {
    held_.ask_swarm(around_.now_ms());
    plan();
  }
}

}  // namespace allium::control
