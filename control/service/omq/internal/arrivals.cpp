// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/arrivals.hpp"

#include "crypto_accel/base/check.hpp"

namespace allium::control {

std::optional<int> Arrivals::came(int descriptor, AddressBlock block) {
  Block& others = blocks_[block];
  Arrival arrival;
  arrival.block = block;
  arrival.place = silent_.insert(silent_.end(), descriptor);
  arrival.place_in_block = others.silent.insert(others.silent.end(), descriptor);
  ++others.connections;
  ALLIUM_CHECK(arrivals_.emplace(descriptor, arrival).second);
  if (others.silent.size() > silent_per_address_max_) {
    return others.silent.front();
  }
  if (silent_.size() > silent_max_) {
    return silent_.front();
  }
  return std::nullopt;
}

void Arrivals::take_from_silent(const Arrival& arrival) {
  silent_.erase(arrival.place);
  blocks_.at(arrival.block).silent.erase(arrival.place_in_block);
}

void Arrivals::spoke(int descriptor, bool is_node) {
  Arrival& arrival = arrivals_.at(descriptor);
  ALLIUM_CHECK(arrival.stage == Stage::silent);
  take_from_silent(arrival);
  arrival.stage = is_node ? Stage::node : Stage::client;
  clients_ += is_node ? 0 : 1;
  blocks_.at(arrival.block).clients += is_node ? 0 : 1;
}

void Arrivals::left(int descriptor) {
  const auto found = arrivals_.find(descriptor);
  if (found == arrivals_.end()) {
    return;
  }
  const Arrival& arrival = found->second;
  const auto block = blocks_.find(arrival.block);
  if (arrival.stage == Stage::silent) {
    take_from_silent(arrival);
  } else if (arrival.stage == Stage::client) {
    --clients_;
    --block->second.clients;
  }
  if (--block->second.connections == 0) {
    blocks_.erase(block);
  }
  arrivals_.erase(found);
}

bool Arrivals::is_silent(int descriptor) const {
  const auto found = arrivals_.find(descriptor);
  return found != arrivals_.end() && found->second.stage == Stage::silent;
}

std::size_t Arrivals::clients_of_its_address(int descriptor) const {
  return blocks_.at(arrivals_.at(descriptor).block).clients;
}

}  // namespace allium::control
