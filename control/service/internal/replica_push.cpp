// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/replica_push.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "control/service/internal/callbacks.hpp"
#include "control/service/missed_records.hpp"

namespace allium::control::internal {

namespace {

/// Read from the store in one go.
constexpr std::size_t kPushRoundBytes = 4'000'000;

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

void ReplicaPush::begin(const ServiceNodes& before, const NodeKey& own) {
  const ServiceNode* earlier = before.find_ed25519(own);
  if (earlier == nullptr || earlier->swarm == kNoSwarm) {
    return;
  }
  const std::shared_ptr<const ServiceNodes> now = around_.membership.nodes();
  const auto had = before.swarms().points_of(earlier->swarm);
  auto parts = std::make_shared<Parts>();
  for (const SwarmId swarm : now->swarms().ids()) {
    const std::vector<NodeKey> targets =
        newcomers(before, earlier->swarm, *now, swarm, around_.membership.own());
    const auto has = now->swarms().points_of(swarm);
    if (targets.empty() || !had || !has) {
      continue;
    }
    for (const PointRange& points : common_points(*had, *has)) {
      parts->push_back({points, targets});
    }
    for (const NodeKey& key : targets) {
      intake_.given(key);
    }
  }
  push_next(parts);
}

// One mailbox may be larger than memory: a round ends anywhere.
Result<std::vector<ReplicaPush::Payload>> ReplicaPush::next_round(Parts& parts) {
  Part& part = parts.back();
  std::vector<OwnedMessage> messages;
  std::size_t bytes = 0;
  bool is_over = true;
  const auto visit = [&](const storage::Account& account, const storage::Message& message) {
    if (bytes > kPushRoundBytes) {
      is_over = false;
      return false;
    }
    bytes += message.data.size() + storage::kMessageOverheadBytes;
    messages.emplace_back(account, message);
    return true;
  };
  const Result<void> read = around_.store.for_each(
      {part.points.first, part.points.last, part.after}, around_.now_ms(), visit);
  if (!read) {
    return tl::unexpected(read.error());
  }
  counters_.messages_pushed += messages.size() * part.targets.size();
  if (is_over) {
    parts.pop_back();
  } else {
    part.attempts = 0;
    part.after = storage::MessageId{messages.back().first, messages.back().second.hash};
  }
  std::vector<Payload> payloads;
  for (std::string& payload : payloads_of(messages)) {
    payloads.push_back(std::make_shared<const std::string>(std::move(payload)));
  }
  return payloads;
}

void ReplicaPush::push_next(const std::shared_ptr<Parts>& parts) {
  if (parts->empty()) {
    return;
  }
  const std::vector<NodeKey> targets = parts->back().targets;
  const Result<std::vector<Payload>> round = next_round(*parts);
  if (!round) {
    try_later(parts);
    return;
  }
  const std::vector<Payload>& payloads = *round;
  auto again = while_alive(is_alive_, [this, parts] { push_next(parts); });
  if (payloads.empty()) {
    // In its own time, for the store of a large swarm has many empty ranges.
    around_.post(std::move(again));
    return;
  }
  const auto one_less = after_all(targets.size() * payloads.size(), std::move(again));
  for (const NodeKey& key : targets) {
    for (const Payload& payload : payloads) {
      send(key, payload, one_less);
    }
  }
}

// The store may be full, and opened again when there is room. What is damaged in one range does not keep back the others.
void ReplicaPush::try_later(const std::shared_ptr<Parts>& parts) {
  if (++parts->back().attempts < kPushAttempts) {
    std::rotate(parts->begin(), parts->end() - 1, parts->end());
  } else {
    ++counters_.lost_records;
    parts->pop_back();
  }
  around_.transport.after(kRefusedRetryMs,
                          while_alive(is_alive_, [this, parts] { push_next(parts); }));
}

void ReplicaPush::send(const NodeKey& key, const Payload& payload,
                       const std::function<void()>& done) {
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr) {
    done();
    return;
  }
  if (absent_.is_dead(key)) {
    queue(key, payload, done);
    return;
  }
  const PeerParts parts = {records_in({{0, data_record(*payload)}})};
  auto done_with = [this, key, payload, done](const Result<PeerParts>& reply) {
    if (!reply && reply.error().code == Errc::refused) {
      send_plain(key, payload, done);
    } else {
      taken(key, payload, reply && reply->size() == 1, done);
    }
  };
  around_.transport.request(*node, "sn.allium_late", parts, kHandOverTimeoutMs,
                            while_alive(is_alive_, std::move(done_with)));
}

// To a member of another make.
void ReplicaPush::send_plain(const NodeKey& key, const Payload& payload,
                             const std::function<void()>& done) {
  const ServiceNode* node = around_.membership.find(key);
  if (node == nullptr) {
    done();
    return;
  }
  auto done_with = [this, key, payload, done](const Result<PeerParts>& reply) {
    taken(key, payload, reply && reply->size() != 2, done);
  };
  around_.transport.request(*node, "sn.data", {messages_in({{0, data_record(*payload)}})},
                            kHandOverTimeoutMs, while_alive(is_alive_, std::move(done_with)));
}

void ReplicaPush::taken(const NodeKey& key, const Payload& payload, bool is_taken,
                        const std::function<void()>& done) {
  if (is_taken) {
    done();
    return;
  }
  absent_.set_dead(key);
  queue(key, payload, done);
}

// Without room for it here, a member of our kind still asks for what it lacks (replica_fetch.hpp).
void ReplicaPush::queue(const NodeKey& key, const Payload& payload,
                        const std::function<void()>& done) {
  absent_.queue(key, data_record(*payload), [done](bool) { done(); });
}

}  // namespace allium::control::internal
