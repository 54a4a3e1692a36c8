// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/queue_elsewhere.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include <boost/json/array.hpp>

#include "control/service/bt.hpp"
#include "control/service/encoding.hpp"
#include "control/service/internal/callbacks.hpp"
#include "control/service/internal/fetch_format.hpp"
#include "control/service/missed_records.hpp"

namespace allium::control::internal {
namespace json = boost::json;

namespace {

// No client's is longer, and it still goes into a hand-over, which has its number and what is around it as well.
constexpr std::size_t kKeptCommandBytesMax = 8UL * 1024 * 1024;

}  // namespace

PeerParts QueueElsewhere::request(const SwarmCommand& command, const std::vector<NodeKey>& missed) {
  json::array keys;
  for (const NodeKey& key : missed) {
    keys.emplace_back(text_of(key));
  }
  return {command.method, command.params, serialise_bt(keys)};
}

void QueueElsewhere::ask(const SwarmCommand& command, const std::vector<NodeKey>& missed,
                         std::vector<NodeKey> holders, std::function<void(bool)> done) {
  auto asking = std::make_shared<Asking>();
  asking->command = command;
  asking->missed = missed;
  asking->holders = std::move(holders);
  asking->done = std::move(done);
  ask_next(asking);
}

void QueueElsewhere::ask_next(const std::shared_ptr<Asking>& asking) {
  const ServiceNode* node = nullptr;
  while (node == nullptr && asking->next < asking->holders.size()) {
    const NodeKey& key = asking->holders[asking->next++];
    node = absent_.is_dead(key) ? nullptr : around_.membership.find(key);
  }
  if (node == nullptr) {
    asking->done(false);
    return;
  }
  std::vector<NodeKey> keys = asking->missed;
  std::erase(keys, node->ed25519);
  const bool is_for_us =
      std::find(keys.begin(), keys.end(), around_.membership.own()) != keys.end();
  auto answered = [this, asking, is_for_us, key = node->ed25519,
                   count = keys.size()](const Result<PeerParts>& reply) {
    if (reply && reply->size() == 1) {
      kept(key, count, is_for_us);
      asking->done(true);
      return;
    }
    if (!reply && reply.error().code == Errc::timeout) {
      absent_.set_dead(key);
    }
    ask_next(asking);
  };
  around_.transport.request(*node, "sn.allium_keep", request(asking->command, keys),
                            kSwarmTimeoutMs, while_alive(is_alive_, std::move(answered)));
}

void QueueElsewhere::kept(const NodeKey& key, std::size_t count, bool is_for_us) {
  counters_.kept_by_others += count;
  if (is_for_us && on_kept_) {
    on_kept_(key);
  }
}

void QueueElsewhere::take(StorageRpc& rpc, const NodeKey& x25519, const PeerParts& parts,
                          std::function<void(PeerParts)> reply) {
  if (parts.size() != 3) {
    reply({"400", "expected a method, its parameters and a bt list of keys"});
    return;
  }
  if (parts[0].size() + parts[1].size() > kKeptCommandBytesMax) {
    reply({"413", "more than a command of a client can be"});
    return;
  }
  const std::vector<NodeKey> members = around_.membership.other_members();
  const auto is_member = [&members](const NodeKey& key) {
    return std::find(members.begin(), members.end(), key) != members.end();
  };
  const ServiceNode* asker = around_.membership.nodes()->find_x25519(x25519);
  const std::vector<NodeKey> keys = keys_in(parts[2]);
  const bool is_each_once = std::set<NodeKey>(keys.begin(), keys.end()).size() == keys.size();
  const bool are_members = asker != nullptr && is_member(asker->ed25519) && !keys.empty() &&
                           is_each_once && std::all_of(keys.begin(), keys.end(), is_member);
  if (!are_members) {
    reply({"421", "not members of this node's swarm"});
    return;
  }
  auto done = [this, command = SwarmCommand{parts[0], parts[1]}, keys,
               reply = std::move(reply)](const PeerParts& answer) {
    if (answer.size() == 1) {
      queue(command, keys, answer, reply);
    } else {
      reply(answer);
    }
  };
  intake_.take_command(rpc, MissedIntake::From::member, parts[0], parts[1],
                       while_alive(is_alive_, std::move(done)));
}

void QueueElsewhere::queue(const SwarmCommand& command, const std::vector<NodeKey>& keys,
                           const PeerParts& answer, std::function<void(PeerParts)> reply) {
  auto are_queued = std::make_shared<bool>(true);
  const auto one_less = after_all(keys.size(), [are_queued, answer, reply = std::move(reply)] {
    reply(*are_queued ? answer : PeerParts{"500", "no room to keep it"});
  });
  for (const NodeKey& key : keys) {
    absent_.queue(key, std::vector<std::string>{command_record(command)},
                  [are_queued, one_less](bool is_queued) {
                    *are_queued &= is_queued;
                    one_less();
                  });
    absent_.set_behind(key);
  }
}

}  // namespace allium::control::internal
