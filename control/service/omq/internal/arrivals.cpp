// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/arrivals.hpp"

#include "crypto_accel/base/check.hpp"

namespace allium::control {

std::optional<int> Arrivals::came(int descriptor, AddressBlock block, Clock::time_point now) {
  Block& others = blocks_[block];
  Arrival arrival;
  arrival.block = block;
  arrival.came_at = now;
  arrival.place = silent_.insert(silent_.end(), descriptor);
  arrival.place_in_block = others.silent.insert(others.silent.end(), descriptor);
  recount(blocks_by_silent_, block, others.silent.size() - 1, others.silent.size());
  ++others.connections;
  ALLIUM_CHECK(arrivals_.emplace(descriptor, arrival).second);
  return gives_way(others, now);
}

std::optional<int> Arrivals::gives_way(const Block& block, Clock::time_point now) const {
  if (block.silent.size() > silent_per_address_max_) {
    return first_or_last(block.silent, now);
  }
  if (silent_.size() <= silent_max_) {
    return std::nullopt;
  }
  const auto& [most, where] = *blocks_by_silent_.rbegin();
  return first_or_last(most == 1 ? silent_ : blocks_.at(where).silent, now);
}

int Arrivals::first_or_last(const std::list<int>& silent, Clock::time_point now) const {
  const bool has_had_time = arrivals_.at(silent.front()).came_at + silent_time_ <= now;
  return has_had_time ? silent.front() : silent.back();
}

void Arrivals::recount(BlocksByCount& blocks, AddressBlock block, std::size_t before,
                       std::size_t now) {
  blocks.erase({before, block});
  if (now > 0) {
    blocks.emplace(now, block);
  }
}

void Arrivals::take_from_silent(const Arrival& arrival) {
  silent_.erase(arrival.place);
  std::list<int>& of_block = blocks_.at(arrival.block).silent;
  of_block.erase(arrival.place_in_block);
  recount(blocks_by_silent_, arrival.block, of_block.size() + 1, of_block.size());
}

void Arrivals::take_from_clients(const Arrival& arrival) {
  --clients_;
  std::list<int>& of_block = blocks_.at(arrival.block).clients;
  of_block.erase(arrival.place_in_block);
  recount(blocks_by_clients_, arrival.block, of_block.size() + 1, of_block.size());
}

void Arrivals::take_place(Arrival& arrival) {
  switch (arrival.stage) {
    case Stage::silent:
      take_from_silent(arrival);
      break;
    case Stage::client:
      take_from_clients(arrival);
      break;
    case Stage::node: {
      const auto node = nodes_.find(arrival.key);
      node->second.erase(arrival.place);
      if (node->second.empty()) {
        nodes_.erase(node);
      }
      break;
    }
  }
}

void Arrivals::spoke_as_client(int descriptor) {
  Arrival& arrival = arrivals_.at(descriptor);
  ALLIUM_CHECK(arrival.stage == Stage::silent);
  take_place(arrival);
  arrival.stage = Stage::client;
  ++clients_;
  std::list<int>& of_block = blocks_.at(arrival.block).clients;
  arrival.place_in_block = of_block.insert(of_block.end(), descriptor);
  recount(blocks_by_clients_, arrival.block, of_block.size() - 1, of_block.size());
}

void Arrivals::spoke_again(int descriptor) {
  const auto found = arrivals_.find(descriptor);
  if (found != arrivals_.end() && found->second.stage == Stage::client) {
    std::list<int>& of_block = blocks_.at(found->second.block).clients;
    of_block.splice(of_block.end(), of_block, found->second.place_in_block);
  }
}

bool Arrivals::has_place(AddressBlock block) const {
  if (clients_ < clients_max_) {
    return true;
  }
  const auto own = blocks_.find(block);
  const std::size_t own_count = own == blocks_.end() ? 0 : own->second.clients.size();
  return !blocks_by_clients_.empty() && blocks_by_clients_.rbegin()->first > own_count + 1;
}

std::optional<int> Arrivals::gives_place_up() const {
  return clients_ < clients_max_
             ? std::nullopt
             : std::optional(blocks_.at(blocks_by_clients_.rbegin()->second).clients.front());
}

AddressBlock Arrivals::block_of(int descriptor) const {
  return arrivals_.at(descriptor).block;
}

std::optional<int> Arrivals::spoke_as_node(int descriptor, const X25519Key& key) {
  Arrival& arrival = arrivals_.at(descriptor);
  ALLIUM_CHECK(arrival.stage == Stage::silent);
  take_place(arrival);
  arrival.stage = Stage::node;
  arrival.key = key;
  std::list<int>& of_node = nodes_[key];
  arrival.place = of_node.insert(of_node.end(), descriptor);
  return of_node.size() > per_node_max_ ? std::optional(of_node.front()) : std::nullopt;
}

void Arrivals::left(int descriptor) {
  const auto found = arrivals_.find(descriptor);
  if (found == arrivals_.end()) {
    return;
  }
  take_place(found->second);
  const auto block = blocks_.find(found->second.block);
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
  return blocks_.at(arrivals_.at(descriptor).block).clients.size();
}

}  // namespace allium::control
