// SPDX-License-Identifier: Apache-2.0
#pragma once

// The TCP connections that came in: where from, and whether they have said anything. Whoever says nothing costs nothing but a connection,
// so anybody can have many of these: they do not count among the clients, and where there are too many, one of the address that has most
// gives way: the one that came first, if it has had time to say something, else the last. So of a crowd that comes at once, after a new start
// of this node say, some get through, and others after them.
//
//   Ownership  knows descriptors by number, and touches none.
//   Threads    the service thread.
//   Cost       O(log of connections).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class Arrivals {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Arrivals(const OmqLimits& limits)
      : clients_max_(limits.clients),
        silent_max_(limits.silent),
        silent_per_address_max_(limits.silent_per_address),
        silent_time_(limits.silent_time),
        per_node_max_(limits.connections_per_node) {}

  /// Requires one that is not here. Gives who loses its place, this one perhaps, which is here until it has left.
  [[nodiscard]] std::optional<int> came(int descriptor, AddressBlock block, Clock::time_point now);

  /// For the first time. Requires is_silent().
  void spoke_as_client(int descriptor);

  /// The same of a service node, which is nobody's client. Gives the one that loses its place if this node has too many.
  [[nodiscard]] std::optional<int> spoke_as_node(int descriptor, const X25519Key& key);

  void left(int descriptor);

  [[nodiscard]] bool is_silent(int descriptor) const;

  /// A client has said something again; nothing to others.
  void spoke_again(int descriptor);

  /// Is there a place for one more client of this address block, or one that is given up for it?
  [[nodiscard]] bool has_place(AddressBlock block) const;

  /// Who gives its place up, where all are taken: of the address block that has most clients, and more than this one would have, the
  /// client that has said nothing for longest. Requires has_place().
  [[nodiscard]] std::optional<int> gives_place_up() const;

  /// Requires one that is here.
  [[nodiscard]] AddressBlock block_of(int descriptor) const;

  /// Clients of the address block that this one is of. Requires one that is here.
  [[nodiscard]] std::size_t clients_of_its_address(int descriptor) const;

 private:
  enum class Stage : std::uint8_t { silent, client, node };

  struct Arrival {
    AddressBlock block = 0;
    Clock::time_point came_at;
    Stage stage = Stage::silent;
    X25519Key key{};                          ///< of a node
    std::list<int>::iterator place;           ///< of a silent one in silent_, of a node in nodes_
    std::list<int>::iterator place_in_block;  ///< in Block::silent or Block::clients
  };

  struct Block {
    std::list<int> silent;   ///< in the order in which they came
    std::list<int> clients;  ///< in the order in which they spoke last
    std::size_t connections = 0;
  };

  using BlocksByCount = std::set<std::pair<std::size_t, AddressBlock>>;

  void take_place(Arrival& arrival);
  void take_from_silent(const Arrival& arrival);
  void take_from_clients(const Arrival& arrival);
  static void recount(BlocksByCount& blocks, AddressBlock block, std::size_t before,
                      std::size_t now);
  [[nodiscard]] std::optional<int> gives_way(const Block& block, Clock::time_point now) const;
  [[nodiscard]] int first_or_last(const std::list<int>& silent, Clock::time_point now) const;

  std::size_t clients_max_;
  std::size_t silent_max_;
  std::size_t silent_per_address_max_;
  Clock::duration silent_time_;
  std::size_t per_node_max_;
  std::unordered_map<int, Arrival> arrivals_;
  std::map<AddressBlock, Block> blocks_;  ///< no hash: others choose the keys
  std::list<int> silent_;                 ///< in the order in which they came
  BlocksByCount blocks_by_silent_;
  BlocksByCount blocks_by_clients_;
  std::map<X25519Key, std::list<int>> nodes_;  ///< in the order in which they spoke
  std::size_t clients_ = 0;
};

}  // namespace allium::control
