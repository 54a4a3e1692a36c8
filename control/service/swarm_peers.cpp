// SPDX-License-Identifier: Apache-2.0
#include "control/service/swarm_peers.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/namespaces.hpp"

namespace allium::control {
namespace json = boost::json;

namespace {

/// How members of our kind know each other by their pong.
constexpr std::string_view kOurKind = "allium";
/// Read from the store in one go when data is handed over.
constexpr std::size_t kPushRoundBytes = 4'000'000;

/// Calls `done` when it was called so many times itself.
std::function<void()> after_all(std::size_t count, std::function<void()> done) {
  auto left = std::make_shared<std::size_t>(count);
  return [left, done = std::move(done)] {
    if (--*left == 0) {
      done();
    }
  };
}

}  // namespace

PeerParts pong() {
  return {"pong", std::string(kOurKind)};
}

PeerParts peer_reply(const Answer& answer, Format format) {
  std::string body = body_text(answer, format);
  if (answer.status == Status::ok) {
    return {std::move(body)};
  }
  return {std::to_string(static_cast<int>(answer.status)), std::move(body)};
}

SwarmPeers::SwarmPeers(SwarmSurroundings surroundings) : around_(std::move(surroundings)) {}

SwarmPeers::~SwarmPeers() {
  *is_alive_ = false;
}

template <typename F>
auto SwarmPeers::while_alive(F then) {
  return [is_alive = is_alive_, then = std::move(then)](auto&&... arguments) mutable {
    if (*is_alive) {
      then(std::forward<decltype(arguments)>(arguments)...);
    }
  };
}

void SwarmPeers::start(StorageRpc& rpc) {
  const Result<std::vector<NodeKey>> peers = around_.store.peers_with_missed();
  if (peers) {
    for (const NodeKey& key : *peers) {
      if (key != around_.membership.own()) {
        set_dead(key);
      }
    }
  }
  tidy_later();
  finish_begun(rpc);
}

void SwarmPeers::finish_begun(StorageRpc& rpc) {
  Result<std::vector<storage::Missed>> begun =
      around_.store.missed(around_.membership.own(), 0, kHandOverBytesMax);
  if (begun && first_number_ != 0) {
    std::erase_if(*begun,
                  [this](const storage::Missed& one) { return one.number >= first_number_; });
  }
  if (!begun) {
    around_.transport.after(kFinishRetryMs, while_alive([this, &rpc] { finish_begun(rpc); }));
  } else if (!begun->empty()) {
    hand_on_begun(rpc, *begun);
  }
}

void SwarmPeers::hand_on_begun(StorageRpc& rpc, const std::vector<storage::Missed>& begun) {
  json::array records;
  for (const storage::Missed& one : begun) {
    records.emplace_back(one.record);
  }
  const std::string payload = serialise_bt(records);
  const std::vector<NodeKey> keys = others();
  auto is_kept = std::make_shared<bool>(true);
  auto done = [this, &rpc, is_kept, last = begun.back().number, count = begun.size()] {
    if (!*is_kept) {
      around_.transport.after(kFinishRetryMs, while_alive([this, &rpc] { finish_begun(rpc); }));
      return;
    }
    counters_.finished_late += count;
    around_.store.drop_missed(
        around_.membership.own(), last,
        [post = around_.post, then = while_alive([this, &rpc] { finish_begun(rpc); })](
            const Result<std::size_t>&) { post([then]() mutable { then(); }); });
  };
  const std::function<void(bool)> one_less =
      [is_kept, less = after_all(keys.size() + 1, while_alive(std::move(done)))](bool is_done) {
        *is_kept &= is_done;
        less();
      };
  for (const NodeKey& key : keys) {
    hand_on_begun_to(key, begun, payload, one_less);
  }
  take_late(rpc, payload, [one_less](const PeerParts& parts) { one_less(parts.front() != "500"); });
}

void SwarmPeers::hand_on_begun_to(const NodeKey& key, const std::vector<storage::Missed>& begun,
                                  const std::string& payload, std::function<void(bool)> done) {
  std::vector<std::string> records;
  for (const storage::Missed& one : begun) {
    records.push_back(one.record);
  }
  auto queue = [this, key, done, records = std::move(records)] {
    set_dead(key);
    around_.store.enqueue_missed(
        key, records, [post = around_.post, done](const Result<std::uint64_t>& number) {
          post([done, is_queued = number.has_value()] { done(is_queued); });
        });
  };
  const ServiceNode* node = find(key);
  if (node == nullptr || members_.contains(key)) {
    queue();  // in order behind what it missed before
    return;
  }
  // Most likely it is there, and need not count as dead for our own death.
  around_.transport.request(
      *node, "sn.allium_late", {payload}, kSwarmTimeoutMs,
      while_alive([done, queue = std::move(queue)](const Result<PeerParts>& reply) {
        if (reply && reply->size() == 1) {
          done(true);
        } else {
          queue();
        }
      }));
}

const ServiceNode* SwarmPeers::find(const NodeKey& key) const noexcept {
  return around_.membership.nodes()->find_ed25519(key);
}

std::vector<NodeKey> SwarmPeers::others() const {
  std::vector<NodeKey> keys;
  for (const ServiceNode* node :
       around_.membership.nodes()->members(around_.membership.own_swarm())) {
    if (node->ed25519 != around_.membership.own()) {
      keys.push_back(node->ed25519);
    }
  }
  return keys;
}

bool SwarmPeers::is_dead(const NodeKey& ed25519) const noexcept {
  const auto found = members_.find(ed25519);
  return found != members_.end() && found->second.state == State::dead;
}

void SwarmPeers::tidy_later() {
  around_.transport.after(kTidyQueuesMs, while_alive([this] {
                            tidy_queues();
                            tidy_later();
                          }));
}

void SwarmPeers::tidy_queues() {
  for (const auto& [key, member] : members_) {
    if (member.state == State::dead) {
      tidy_queue(key, 0);
    }
  }
}

// What nobody has any more, expired or deleted, a member need not be handed; the command that deleted it stays.
void SwarmPeers::tidy_queue(const NodeKey& key, std::uint64_t after) {
  const Result<std::vector<storage::Missed>> page =
      around_.store.missed(key, after, kHandOverBytesMax);
  if (!page || page->empty()) {
    return;
  }
  std::vector<std::uint64_t> moot;
  for (const storage::Missed& one : *page) {
    if (is_moot(one.record)) {
      moot.push_back(one.number);
    }
  }
  counters_.moot += moot.size();
  if (!moot.empty()) {
    around_.store.erase_missed(key, std::move(moot), [](const Result<std::size_t>&) {});
  }
  around_.post(while_alive([this, key, last = page->back().number] { tidy_queue(key, last); }));
}

bool SwarmPeers::is_moot(std::string_view text) const {
  const std::optional<MissedRecord> record = parse_record(text);
  if (!record) {
    return true;
  }
  const std::vector<OwnedMessage> messages = messages_of(*record);
  const std::uint64_t now_ms = around_.now_ms();
  return !messages.empty() &&
         std::all_of(messages.begin(), messages.end(), [&](const OwnedMessage& one) {
           const auto live = around_.store.expiries(one.first, {one.second.hash}, now_ms);
           return live && live->empty();
         });
}

void SwarmPeers::forward(SwarmCommand command, std::function<void(MemberReply)> each) {
  std::string record = command_record(command);
  Round round{around_.membership.nodes(), others(), std::move(command), std::move(each)};
  around_.store.enqueue_missed(
      around_.membership.own(), {std::move(record)},
      [post = around_.post,
       then = while_alive([this, round = std::move(round)](const Result<std::uint64_t>& number) {
         begin(round, number);
       })](const Result<std::uint64_t>& number) {
        post([then, number]() mutable { then(number); });
      });
}

void SwarmPeers::begin(const Round& round, const Result<std::uint64_t>& number) {
  if (!number) {
    // Nobody gets what this node could not see through.
    for (const NodeKey& key : round.keys) {
      round.each({key, MemberReply::Kind::refused, {}, "500", "the entry node cannot keep it"});
    }
    return;
  }
  first_number_ = first_number_ == 0 ? *number : first_number_;
  const auto one_less =
      after_all(round.keys.size(), while_alive([this, number = *number] { end({number}); }));
  for (const NodeKey& key : round.keys) {
    send_or_queue(round, key, [each = round.each, one_less](MemberReply reply) {
      each(std::move(reply));
      one_less();
    });
  }
}

void SwarmPeers::end(const std::vector<std::uint64_t>& numbers) {
  ended_.insert(ended_.end(), numbers.begin(), numbers.end());
  if (!std::exchange(is_forgetting_, true)) {
    around_.transport.after(kForgetIntervalMs, while_alive([this] {
                              is_forgetting_ = false;
                              forget_ended();
                            }));
  }
}

// One by one: a search for the head of the queue would walk over all that was erased before and is still in memory.
void SwarmPeers::forget_ended() {
  std::vector<std::uint64_t> numbers = std::exchange(ended_, {});
  around_.store.erase_missed(
      around_.membership.own(), numbers,
      [post = around_.post, later = while_alive([this, numbers] {
                              around_.transport.after(
                                  kFinishRetryMs, while_alive([this, numbers] { end(numbers); }));
                            })](const Result<std::size_t>& erased) {
        if (!erased) {
          post([later]() mutable { later(); });
        }
      });
}

void SwarmPeers::send_or_queue(const Round& round, const NodeKey& key,
                               std::function<void(MemberReply)> each) {
  ++counters_.forwarded;
  const auto found = members_.find(key);
  if (found != members_.end() && found->second.state != State::alive) {
    // In order behind what it missed before.
    queue_record(key, command_record(round.command), [key, each = std::move(each)] {
      each({key, MemberReply::Kind::timeout, {}, {}, {}});
    });
  } else {
    send(*round.nodes->find_ed25519(key), round.command, std::move(each));
  }
}

void SwarmPeers::send(const ServiceNode& node, const SwarmCommand& command,
                      std::function<void(MemberReply)> each) {
  auto done = [this, key = node.ed25519, command, each = std::move(each)](Result<PeerParts> parts) {
    MemberReply reply;
    reply.member = key;
    if (!parts) {
      ++counters_.timeouts;
      set_dead(key);
      queue_record(key, command_record(command), [reply, each] { each(reply); });
      return;
    }
    if (parts->size() == 1) {
      Result<json::value> body = parse_bt(parts->front());
      const bool is_dict = body && body->is_object();
      reply.kind = is_dict ? MemberReply::Kind::answered : MemberReply::Kind::malformed;
      if (is_dict) {
        reply.body = std::move(body->get_object());
      }
    } else if (parts->size() == 2) {
      reply.kind = MemberReply::Kind::refused;
      reply.code = std::move((*parts)[0]);
      reply.reason = std::move((*parts)[1]);
    } else {
      reply.kind = MemberReply::Kind::malformed;
    }
    // It could not now, does not know its swarm yet, or its clock is off: it missed this as well.
    const bool is_for_later =
        reply.kind == MemberReply::Kind::refused &&
        (reply.code == "406" || reply.code == "421" || reply.code == "500" || reply.code == "503");
    if (is_for_later) {
      set_dead(key);
      queue_record(key, command_record(command), [reply, each] { each(reply); });
    } else {
      each(std::move(reply));
    }
  };
  around_.transport.request(node, "sn.storage_cc", {command.method, command.params},
                            kSwarmTimeoutMs, while_alive(std::move(done)));
}

void SwarmPeers::queue_record(const NodeKey& key, std::string record, std::function<void()> done) {
  ++members_[key].queueing;
  // The client hears of the member's absence only when the queue is on disk.
  auto is_done = [this, key, done = std::move(done)](bool is_queued) {
    ++(is_queued ? counters_.queued : counters_.lost_records);
    queued(key);
    done();
  };
  around_.store.enqueue_missed(
      key, {std::move(record)},
      [post = around_.post,
       then = while_alive(std::move(is_done))](const Result<std::uint64_t>& number) {
        post([then, is_queued = number.has_value()]() mutable { then(is_queued); });
      });
}

void SwarmPeers::queued(const NodeKey& key) {
  const auto found = members_.find(key);
  if (found == members_.end() || found->second.queueing == 0) {
    return;  // forgotten meanwhile
  }
  Member& member = found->second;
  if (--member.queueing == 0 && std::exchange(member.is_waiting, false) &&
      member.state == State::behind) {
    hand_over(key);
  }
}

void SwarmPeers::set_dead(const NodeKey& key) {
  members_[key].state = State::dead;
  probe_later(key);
}

void SwarmPeers::probe_later(const NodeKey& key) {
  Member& member = members_[key];
  if (member.is_busy) {
    return;
  }
  member.is_busy = true;
  around_.transport.after(kProbeIntervalMs, while_alive([this, key] { probe(key); }));
}

void SwarmPeers::forget(const NodeKey& key) {
  members_.erase(key);
  around_.store.drop_missed(key, std::numeric_limits<std::uint64_t>::max(),
                            [](const Result<std::size_t>&) {});
}

void SwarmPeers::probe(const NodeKey& key) {
  const ServiceNode* node = find(key);
  if (node == nullptr) {
    // Should it come back, it comes as a new member and is given everything.
    forget(key);
    return;
  }
  auto done = [this, key](const Result<PeerParts>& pong) {
    const auto found = members_.find(key);
    if (found == members_.end()) {
      return;
    }
    Member& member = found->second;
    member.is_busy = false;
    if (!pong) {
      member.state = State::dead;
      probe_later(key);
      return;
    }
    const bool is_our_kind = pong->size() > 1 && (*pong)[1] == kOurKind;
    member.hand_over = is_our_kind ? HandOver::commands : HandOver::messages;
    member.state = State::behind;
    hand_over(key);
  };
  around_.transport.request(*node, "sn.ping", {std::string(kOurKind)}, kProbeTimeoutMs,
                            while_alive(std::move(done)));
}

void SwarmPeers::hand_over(const NodeKey& key) {
  const ServiceNode* node = find(key);
  if (node == nullptr) {
    forget(key);
    return;
  }
  const Result<std::vector<storage::Missed>> missed =
      around_.store.missed(key, 0, kHandOverBytesMax);
  Member& member = members_[key];
  if (!missed) {
    set_dead(key);
    return;
  }
  if (missed->empty()) {
    // What is on its way into the queue is not seen there yet: alive now would be to leave it there.
    member.is_waiting = member.queueing > 0;
    if (!member.is_waiting) {
      members_.erase(key);  // alive, and nothing to say
    }
    return;
  }
  PeerParts parts;
  std::string command = "sn.allium_late";
  if (member.hand_over == HandOver::commands) {
    json::array records;
    for (const storage::Missed& one : *missed) {
      records.emplace_back(one.record);
    }
    parts.push_back(serialise_bt(records));
  } else {
    command = "sn.data";
    parts.push_back(messages_in(*missed));
  }
  member.is_busy = true;
  const std::uint64_t last = missed->back().number;
  auto done = [this, key, last, count = missed->size()](const Result<PeerParts>& reply) {
    members_[key].is_busy = false;
    // sn.data has an empty reply; two parts are a status and a text.
    if (!reply || reply->size() == 2) {
      set_dead(key);
      return;
    }
    handed_over(key, last, count);
  };
  around_.transport.request(*node, std::move(command), std::move(parts), kHandOverTimeoutMs,
                            while_alive(std::move(done)));
}

void SwarmPeers::handed_over(const NodeKey& key, std::uint64_t last_number, std::size_t count) {
  counters_.handed_over += count;
  around_.store.drop_missed(
      key, last_number,
      [post = around_.post, then = while_alive([this, key] { hand_over(key); })](
          const Result<std::size_t>&) { post([then]() mutable { then(); }); });
}

void SwarmPeers::take_late(StorageRpc& rpc, std::string_view payload,
                           std::function<void(PeerParts)> reply) {
  const Result<json::value> list = parse_bt(payload);
  if (!list || !list->is_array()) {
    reply({"400", "expected a bt list of records"});
    return;
  }
  const json::array& records = list->get_array();
  auto is_refused = std::make_shared<bool>(false);
  // One more, so that it does not end before all have begun.
  const auto one_less = after_all(records.size() + 1, [is_refused, reply = std::move(reply)] {
    reply(*is_refused ? PeerParts{"500", "not all could be kept"} : PeerParts{"OK"});
  });
  for (const json::value& text : records) {
    const std::optional<MissedRecord> record =
        text.is_string() ? parse_record(std::string_view(text.get_string())) : std::nullopt;
    if (!record) {
      one_less();
    } else if (!record->payload.empty()) {
      take_data(record->payload, [is_refused, one_less](const PeerParts& parts) {
        *is_refused |= parts.size() == 2 && parts.front() == "500";
        one_less();
      });
    } else {
      rpc.call_params(record->command.method, record->command.params, RpcSource::late_peer,
                      [is_refused, one_less](const Answer& answer, Format) {
                        *is_refused |= answer.status == Status::internal ||
                                       answer.status == Status::not_acceptable;
                        one_less();
                      });
    }
  }
  one_less();
}

void SwarmPeers::take_data(std::string_view payload, std::function<void(PeerParts)> reply) {
  Result<std::vector<OwnedMessage>> messages = parse_pushed(payload);
  if (!messages) {
    reply({"400", messages.error().text});
    return;
  }
  auto is_refused = std::make_shared<bool>(false);
  const auto one_less = after_all(messages->size() + 1, [is_refused, reply = std::move(reply)] {
    reply(*is_refused ? PeerParts{"500", "not all could be kept"} : PeerParts{});
  });
  const std::uint64_t now_ms = around_.now_ms();
  for (auto& owned : *messages) {
    auto& [account, message] = owned;
    const bool is_good = is_possible(owned, now_ms);
    counters_.messages_refused += is_good ? 0U : 1U;
    if (!is_good || !around_.membership.is_ours(account)) {
      one_less();
      continue;
    }
    ++counters_.messages_taken;
    const bool replaces = is_public_outbox(message.space);
    around_.store.store(
        account, std::move(message), storage::Origin::replica, replaces, now_ms,
        [post = around_.post, is_refused, one_less](const Result<storage::Stored>& stored) {
          post([is_refused, one_less, is_stored = stored.has_value()] {
            *is_refused |= !is_stored;
            one_less();
          });
        });
  }
  one_less();
}

/// Messages on their way to where they belong now: range by range, and round by round.
struct SwarmPeers::Push {
  struct Part {
    PointRange points;
    std::vector<NodeKey> targets;  ///< who should have its accounts and has not
  };

  std::vector<Part> parts;
};

namespace {

/// Whoever is in `swarm` now and was not in `swarm_before`.
std::vector<NodeKey> newcomers(const ServiceNodes& before, SwarmId swarm_before,
                               const ServiceNodes& now, SwarmId swarm, const NodeKey& own) {
  std::vector<NodeKey> keys;
  for (const ServiceNode* node : now.members(swarm)) {
    const ServiceNode* earlier = before.find_ed25519(node->ed25519);
    const bool has_it = earlier != nullptr && earlier->swarm == swarm_before;
    if (node->ed25519 != own && !has_it) {
      keys.push_back(node->ed25519);
    }
  }
  return keys;
}

}  // namespace

void SwarmPeers::membership_changed(const ServiceNodes& before) {
  const ServiceNode* earlier = before.find_ed25519(around_.membership.own());
  if (earlier == nullptr || earlier->swarm == kNoSwarm) {
    return;
  }
  const std::shared_ptr<const ServiceNodes> now = around_.membership.nodes();
  const auto had = before.swarms().points_of(earlier->swarm);
  auto push = std::make_shared<Push>();
  for (const SwarmId swarm : now->swarms().ids()) {
    const std::vector<NodeKey> targets =
        newcomers(before, earlier->swarm, *now, swarm, around_.membership.own());
    const auto has = now->swarms().points_of(swarm);
    if (targets.empty() || !had || !has) {
      continue;
    }
    for (const PointRange& points : common_points(*had, *has)) {
      push->parts.push_back({points, targets});
    }
  }
  push_next(push);
}

void SwarmPeers::push_next(const std::shared_ptr<Push>& push) {
  if (push->parts.empty()) {
    return;
  }
  Push::Part& part = push->parts.back();
  std::vector<OwnedMessage> messages;
  std::size_t bytes = 0;
  std::uint64_t last_point = part.points.first;
  bool is_over = true;
  const auto visit = [&](const storage::Account& account, const storage::Message& message) {
    const std::uint64_t point = storage::point_of(account);
    // A round ends where an account ends.
    if (bytes > kPushRoundBytes && point != last_point) {
      is_over = false;
      part.points.first = point;
      return false;
    }
    last_point = point;
    bytes += message.data.size() + storage::kMessageOverheadBytes;
    messages.emplace_back(account, message);
    return true;
  };
  const Result<void> read =
      around_.store.for_each(part.points.first, part.points.last, around_.now_ms(), visit);
  const std::vector<NodeKey> targets = part.targets;
  if (is_over) {
    push->parts.pop_back();
  }
  if (!read || messages.empty()) {
    // In its own time, for the store of a large swarm has many empty ranges.
    around_.post(while_alive([this, push] { push_next(push); }));
    return;
  }
  const auto one_less = after_all(targets.size(), while_alive([this, push] { push_next(push); }));
  for (const NodeKey& key : targets) {
    push_to(key, messages, one_less);
  }
}

void SwarmPeers::push_to(const NodeKey& key, const std::vector<OwnedMessage>& messages,
                         std::function<void()> done) {
  counters_.messages_pushed += messages.size();
  std::vector<std::string> payloads = payloads_of(messages);
  const auto one_less = after_all(payloads.size(), std::move(done));
  for (std::string& payload : payloads) {
    send_pushed(key, std::move(payload), one_less);
  }
}

void SwarmPeers::send_pushed(const NodeKey& key, std::string payload, std::function<void()> done) {
  const ServiceNode* node = find(key);
  if (node == nullptr) {
    done();
    return;
  }
  const auto found = members_.find(key);
  if (found != members_.end() && found->second.state != State::alive) {
    queue_record(key, data_record(payload), std::move(done));
    return;
  }
  std::string copy = payload;
  around_.transport.request(*node, "sn.data", {std::move(payload)}, kHandOverTimeoutMs,
                            while_alive([this, key, payload = std::move(copy),
                                         done = std::move(done)](const Result<PeerParts>& reply) {
                              if (reply && reply->size() != 2) {
                                done();
                                return;
                              }
                              set_dead(key);
                              queue_record(key, data_record(payload), done);
                            }));
}

}  // namespace allium::control
