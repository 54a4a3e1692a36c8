// SPDX-License-Identifier: Apache-2.0
#include "control/service/swarm_peers.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include <boost/json/value.hpp>

#include "control/service/bt.hpp"
#include "control/service/internal/absent_members.hpp"
#include "control/service/internal/begun_commands.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/missed_intake.hpp"
#include "control/service/internal/patient_queue.hpp"
#include "control/service/internal/queue_elsewhere.hpp"
#include "control/service/internal/replica_push.hpp"
#include "control/service/internal/told_commands.hpp"
#include "control/service/missed_records.hpp"

namespace allium::control {

using From = internal::MissedIntake::From;
namespace json = boost::json;

using internal::after_all;
using internal::while_alive;

namespace {

std::map<NodeKey, SwarmId> swarms_of(const ServiceNodes& nodes) {
  std::map<NodeKey, SwarmId> swarms;
  for (const ServiceNode& node : nodes.all()) {
    swarms[node.ed25519] = node.swarm;
  }
  return swarms;
}

}  // namespace

PeerParts pong() {
  return {"pong", std::string(internal::kOurKind)};
}

PeerParts peer_reply(const Answer& answer, Format format) {
  std::string body = body_text(answer, format);
  if (answer.status == Status::ok) {
    return {std::move(body)};
  }
  return {std::to_string(static_cast<int>(answer.status)), std::move(body)};
}

SwarmPeers::SwarmPeers(SwarmSurroundings surroundings)
    : around_(std::move(surroundings)),
      absent_(std::make_unique<internal::AbsentMembers>(around_, counters_)),
      patient_(std::make_unique<internal::PatientQueue>(around_, *absent_, counters_)),
      intake_(std::make_unique<internal::MissedIntake>(around_, *patient_, counters_)),
      begun_(std::make_unique<internal::BegunCommands>(around_, *absent_, *intake_, counters_)),
      elsewhere_(
          std::make_unique<internal::QueueElsewhere>(around_, *absent_, *intake_, counters_)),
      push_(std::make_unique<internal::ReplicaPush>(around_, *absent_, *intake_, counters_)),
      told_(std::make_unique<internal::ToldCommands>(around_, *patient_)) {
  patient_->on_begun([this] { begun_->finish_later(); });
}

SwarmPeers::~SwarmPeers() = default;

void SwarmPeers::start(StorageRpc& rpc) {
  absent_->start();
  begun_->finish(rpc);
}

std::vector<NodeKey> SwarmPeers::others() const {
  return around_.membership.other_members();
}

bool SwarmPeers::is_dead(const NodeKey& ed25519) const noexcept {
  return absent_->is_dead(ed25519);
}

bool SwarmPeers::is_behind(const NodeKey& ed25519) const noexcept {
  return absent_->is_behind(ed25519);
}

void SwarmPeers::given(const NodeKey& ed25519) {
  intake_->given(ed25519);
}

void SwarmPeers::on_copy(OnCopy call) {
  intake_->on_copy(std::move(call));
}

void SwarmPeers::on_answer(std::function<void(const NodeKey&)> call) {
  absent_->on_answer(std::move(call));
}

void SwarmPeers::on_kept(std::function<void(const NodeKey&)> call) {
  elsewhere_->on_kept(std::move(call));
}

void SwarmPeers::membership_changed(const ServiceNodes& before, const NodeKey& own) {
  if (!before.all().empty() && swarms_of(before) != swarms_of(*around_.membership.nodes())) {
    intake_->views_differ();
    told_->membership_changed();
  }
  push_->begin(before, own);
}

void SwarmPeers::take_command(StorageRpc& rpc, const NodeKey& x25519, std::string method,
                              std::string params, std::function<void(PeerParts)> reply) {
  intake_->take_command(rpc, is_member(x25519) ? From::member : From::stranger, std::move(method),
                        std::move(params), std::move(reply));
}

void SwarmPeers::take_late(StorageRpc& rpc, const NodeKey& x25519, std::string_view payload,
                           std::function<void(PeerParts)> reply) {
  intake_->take_late(rpc, is_member(x25519) ? From::member : From::stranger, payload,
                     std::move(reply));
}

bool SwarmPeers::is_member(const NodeKey& x25519) const {
  const ServiceNode* node = around_.membership.nodes()->find_x25519(x25519);
  return node != nullptr && node->swarm == around_.membership.own_swarm() &&
         node->swarm != kNoSwarm;
}

void SwarmPeers::take_data(std::string_view payload, std::function<void(PeerParts)> reply) {
  intake_->take_data(payload, std::move(reply));
}

void SwarmPeers::keep_for_others(StorageRpc& rpc, const NodeKey& x25519, const PeerParts& parts,
                                 std::function<void(PeerParts)> reply) {
  elsewhere_->take(rpc, x25519, parts, std::move(reply));
}

std::function<void(bool)> SwarmPeers::forward(SwarmCommand command,
                                              std::function<void(MemberReply)> each,
                                              std::function<void(bool)> over) {
  std::string record = command_record(command);
  auto outcome = std::make_shared<Outcome>();
  const std::vector<NodeKey> keys = others();
  told_->told(command, keys);
  const auto shared = std::make_shared<const SwarmCommand>(std::move(command));
  auto all_done = [this, shared, outcome, over = std::move(over)] {
    all_answered(*shared, outcome, over);
  };
  const auto one_less = after_all(keys.size() + 1, while_alive(is_alive_, std::move(all_done)));
  const auto round = std::make_shared<const Round>(
      Round{around_.membership.nodes(), keys, shared, std::move(each), outcome, one_less});
  begun_->begin(std::move(record), [this, round](const Result<std::uint64_t>& number) {
    if (number) {
      round->outcome->number = *number;
    }
    hand_on(round);
  });
  return [outcome, one_less](bool is_done) {
    outcome->is_done_here = is_done;
    one_less();
  };
}

void SwarmPeers::took_alone(const SwarmCommand& command) {
  told_->told(command, {});
}

void SwarmPeers::all_answered(const SwarmCommand& command, const std::shared_ptr<Outcome>& shared,
                              const std::function<void(bool)>& over) {
  const Outcome& outcome = *shared;
  if (outcome.is_asking) {
    shared->when_asked = [this, command, shared, over] { all_answered(command, shared, over); };
    return;
  }
  std::vector<NodeKey> missed = outcome.is_kept_for_all ? std::vector<NodeKey>() : outcome.missed;
  // What nobody has, and its client knows to have failed, this node need not have alone.
  const bool is_missed_here =
      !outcome.is_done_here && outcome.is_with_others && !outcome.is_kept_for_all;
  const bool is_done_again = is_missed_here && outcome.number && begun_->may_do_again();
  if (is_missed_here && !is_done_again) {
    missed.push_back(around_.membership.own());
  }
  const bool is_anywhere =
      outcome.is_done_here || outcome.is_with_others || outcome.may_be_with_others;
  auto is_over = [this, command, number = outcome.number, is_done_again, is_anywhere,
                  over](bool is_lost) {
    if (is_lost && is_anywhere && number) {
      begun_->finish_later(*number);
    } else if (is_lost && is_anywhere) {
      patient_->add(kBegunQueue, command_record(command));
    } else if (is_done_again) {
      begun_->do_again(*number);
    } else if (number) {
      begun_->end({*number});
    }
    over(is_lost);
  };
  if (missed.empty()) {
    is_over(false);
  } else {
    const auto first = outcome.holders.begin() + static_cast<std::ptrdiff_t>(outcome.asked);
    elsewhere_->ask(command, missed, {first, outcome.holders.end()},
                    [is_over](bool is_kept) { is_over(!is_kept); });
  }
}

void SwarmPeers::hand_on(const std::shared_ptr<const Round>& round) {
  // Without room for it here (no number) it goes out all the same: a full node must be able to tell the others what it deletes. One of them
  // keeps it for this node and all others from the first: were this node to die now, nobody else would know who has missed it.
  bool is_to_be_kept = !round->outcome->number;
  for (const NodeKey& key : round->keys) {
    auto told = [this, round, was_dead = absent_->is_dead(key)](MemberReply reply, bool is_missed) {
      Outcome& outcome = *round->outcome;
      // It may have stood still, and do it when it goes on.
      outcome.may_be_with_others |= !was_dead && reply.kind == MemberReply::Kind::timeout;
      if (is_missed) {
        outcome.missed.push_back(reply.member);
      } else if (reply.kind == MemberReply::Kind::answered) {
        outcome.holders.push_back(reply.member);
        ask_holder_to_keep(round);
      }
      outcome.is_with_others |= !is_missed;
      round->each(std::move(reply));
      round->one_less();
    };
    if (is_to_be_kept && !absent_->is_dead(key)) {
      is_to_be_kept = false;
      send_to_keep(round, key, std::move(told));
    } else {
      send_or_queue(*round, key, std::move(told));
    }
  }
}

void SwarmPeers::send_to_keep(const std::shared_ptr<const Round>& round, const NodeKey& key,
                              Told told) {
  ++counters_.forwarded;
  const ServiceNode node = *round->nodes->find_ed25519(key);
  std::vector<NodeKey> all = round->keys;
  std::replace(all.begin(), all.end(), key, around_.membership.own());
  auto done = [this, node, count = all.size(), round,
               told = std::move(told)](const Result<PeerParts>& parts) {
    round->outcome->is_kept_for_all = parts && parts->size() == 1;
    if (round->outcome->is_kept_for_all) {
      elsewhere_->kept(node.ed25519, count, true);
    } else {
      round->outcome->wants_keeper = true;
      ask_holder_to_keep(round);
    }
    if (!parts && parts.error().code == Errc::refused) {
      send(node, round->command, told);  // it is not of our kind
    } else {
      answered(*round->command, node.ed25519, parts, told);
    }
  };
  around_.transport.request(node, "sn.allium_keep",
                            internal::QueueElsewhere::request(*round->command, all),
                            kSwarmTimeoutMs, while_alive(is_alive_, std::move(done)));
}

/// Of those who have done it the next, and at once, for this node may die before all have answered.
void SwarmPeers::ask_holder_to_keep(const std::shared_ptr<const Round>& round) {
  Outcome& outcome = *round->outcome;
  if (!outcome.wants_keeper || outcome.is_asking || outcome.asked == outcome.holders.size()) {
    return;
  }
  outcome.is_asking = true;
  const NodeKey holder = outcome.holders[outcome.asked++];
  std::vector<NodeKey> all = round->keys;
  all.push_back(around_.membership.own());
  elsewhere_->ask(*round->command, all, {holder}, [this, round](bool is_kept) {
    Outcome& asked = *round->outcome;
    asked.is_asking = false;
    asked.is_kept_for_all = is_kept;
    asked.wants_keeper = !is_kept;
    ask_holder_to_keep(round);
    if (!asked.is_asking && asked.when_asked) {
      std::exchange(asked.when_asked, nullptr)();
    }
  });
}

void SwarmPeers::send_or_queue(const Round& round, const NodeKey& key, Told told) {
  ++counters_.forwarded;
  if (absent_->is_dead(key)) {
    MemberReply reply;
    reply.member = key;
    queue_missed(*round.command, std::move(reply), std::move(told));
  } else {
    send(*round.nodes->find_ed25519(key), round.command, std::move(told));
  }
}

void SwarmPeers::queue_missed(const SwarmCommand& command, MemberReply reply, Told told) {
  const NodeKey key = reply.member;
  absent_->queue(key, std::vector<std::string>{command_record(command)},
                 [reply = std::move(reply), told = std::move(told)](bool is_queued) {
                   told(reply, !is_queued);
                 });
}

void SwarmPeers::send(const ServiceNode& node, const std::shared_ptr<const SwarmCommand>& command,
                      Told told) {
  auto done = [this, key = node.ed25519, command, told = std::move(told)](Result<PeerParts> parts) {
    answered(*command, key, std::move(parts), told);
  };
  around_.transport.request(node, "sn.storage_cc", {command->method, command->params},
                            kSwarmTimeoutMs, while_alive(is_alive_, std::move(done)));
}

void SwarmPeers::answered(const SwarmCommand& command, const NodeKey& key, Result<PeerParts> parts,
                          const Told& told) {
  MemberReply reply;
  reply.member = key;
  if (!parts) {
    ++counters_.timeouts;
    absent_->set_dead(key);
    queue_missed(command, std::move(reply), told);
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
    absent_->set_behind(key);
    queue_missed(command, std::move(reply), told);
  } else {
    told(std::move(reply), false);
  }
}

}  // namespace allium::control
