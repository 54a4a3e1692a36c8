// SPDX-License-Identifier: Apache-2.0
#include "control/dataplane_steering.hpp"

#include <string>
#include <utility>
#include <vector>

#include "crypto_accel/base/clock.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::control {

Result<void> DataplaneSteering::open(const Configuration& configuration, const Seed& seed,
                                     Events events) {
  if (configuration.dataplane_socket.empty()) {
    return {};
  }
  DataplaneOptions options;
  options.socket = configuration.dataplane_socket;
  options.packets_per_second = configuration.packets_per_second;
  options.handles_max = configuration.ipv6_clients_max;
  options.handles_per_host = configuration.ipv6_clients_per_host;
  options.handles_per_site = configuration.ipv6_clients_per_site;
  DataplaneLink::Events link_events;
  link_events.post = std::move(events.post);
  link_events.on_state = [this](const DataplaneState& now) { on_state(now); };
  link_events.on_record = std::move(events.on_record);
  link_events.on_deliveries = std::move(events.on_deliveries);
  auto opened = DataplaneLink::open(std::move(options), IdentitySecret::from_seed(seed),
                                    system_random(), std::move(link_events));
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  link_ = *std::move(opened);
  state_.problem = "not connected yet";
  return {};
}

void DataplaneSteering::on_state(const DataplaneState& now) {
  const bool was_serving = std::exchange(state_, now).is_serving;
  if (was_serving == now.is_serving) {
    return;
  }
  if (now.is_serving) {
    log_.info("dataplane.serving", {{"pid", std::to_string(now.pid)},
                                    {"device", now.device},
                                    {"relays", std::to_string(now.relays)}});
  } else {
    log_.warn("dataplane.stopped", {{"reason", now.problem}});
  }
}

void DataplaneSteering::set_relays(const RecordBook& records, const IdentityKey& self) {
  const NetworkDocument* const document = records.document();
  if (!link_ || document == nullptr) {
    return;
  }
  std::vector<onion::Endpoint> own;
  std::vector<PeerKeys> peers;
  for (const RelayEntry& relay : document->relays) {
    if (relay.identity == self) {
      own = relay.endpoints;
      continue;
    }
    // One without a record stays in the table: its packets find no key, and are not a client's.
    PeerKeys& peer = peers.emplace_back();
    peer.id = relay.id();
    peer.endpoint = relay.endpoints.front();
    if (const NodeRecord* const record = records.find(relay.identity)) {
      peer.keys = record->keys;
    }
  }
  link_->set_network(std::move(own), std::move(peers));
}

void DataplaneSteering::hear_time(const IdentityKey& node, std::uint64_t their_ms,
                                  std::uint64_t sent_ms, std::uint64_t heard_ms) {
  clock_.add(node, their_ms, sent_ms, heard_ms);
  const bool is_good = clock_.is_good(unix_ms());
  if (std::exchange(is_clock_good_, is_good) == is_good) {
    return;
  }
  if (is_good) {
    log_.info("clock.good");
  } else {
    log_.error("clock.off", {{"offset_ms", std::to_string(clock_offset_ms().value_or(0))},
                             {"effect", "no packets are forwarded until it is set"}});
  }
  if (link_) {
    link_->set_serving(is_good);
  }
}

void DataplaneSteering::reply(control_port::ReturnReply reply) {
  if (link_) {
    link_->reply(std::move(reply));
  }
}

bool DataplaneSteering::ask_counters(DataplaneLink::OnCounters done) {
  if (!link_) {
    return false;
  }
  link_->ask_counters(std::move(done));
  return true;
}

std::optional<DataplaneState> DataplaneSteering::state() const {
  return link_ ? std::optional(state_) : std::nullopt;
}

std::optional<std::int64_t> DataplaneSteering::clock_offset_ms() const {
  return clock_.offset_ms(unix_ms());
}

}  // namespace allium::control
