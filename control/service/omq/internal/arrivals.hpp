// SPDX-License-Identifier: Apache-2.0
#pragma once

// The TCP connections that came in: where from, and whether they have said anything. Whoever says nothing costs nothing but a connection,
// so anybody can have many of these: they do not count among the clients, and where there are too many, those of the address that has
// most give way, the one that came first before others. A client is alone at its address, or nearly so, and has said something long
// before as many others have come from there.
//
//   Ownership  knows descriptors by number, and touches none.
//   Threads    the service thread.
//   Cost       O(log of connections).

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
  explicit Arrivals(const OmqLimits& limits)
      : silent_max_(limits.silent),
        silent_per_address_max_(limits.silent_per_address),
        per_node_max_(limits.connections_per_node) {}

  /// Requires one that is not here. Gives who loses its place for it, which is here until it has left.
  [[nodiscard]] std::optional<int> came(int descriptor, AddressBlock block);

  /// For the first time. Requires is_silent().
  void spoke_as_client(int descriptor);

  /// The same of a service node, which is nobody's client. Gives the one that loses its place if this node has too many.
  [[nodiscard]] std::optional<int> spoke_as_node(int descriptor, const X25519Key& key);

  /// It has lost its place. It is here until it has left, but nowhere counted any more.
  void lost(int descriptor);

  void left(int descriptor);

  [[nodiscard]] bool is_silent(int descriptor) const;

  [[nodiscard]] std::size_t clients() const noexcept { return clients_; }

  /// Clients of the address block that this one is of. Requires one that is here.
  [[nodiscard]] std::size_t clients_of_its_address(int descriptor) const;

 private:
  enum class Stage : std::uint8_t { silent, client, node, lost };

  struct Arrival {
    AddressBlock block = 0;
    Stage stage = Stage::silent;
    X25519Key key{};  ///< of a node
    std::list<int>::iterator
        place;  ///< in silent_, while it is silent; in nodes_, if it is a node's
    std::list<int>::iterator place_in_block;  ///< in Block::silent, likewise
  };

  struct Block {
    std::list<int> silent;  ///< in the order in which they came
    std::size_t connections = 0;
    std::size_t clients = 0;
  };

  void take_place(Arrival& arrival);
  void take_from_silent(const Arrival& arrival);
  void count_silent(AddressBlock block, std::size_t before);
  [[nodiscard]] std::optional<int> gives_way(const Block& block) const;

  std::size_t silent_max_;
  std::size_t silent_per_address_max_;
  std::size_t per_node_max_;
  std::unordered_map<int, Arrival> arrivals_;
  std::map<AddressBlock, Block> blocks_;  ///< no hash: others choose the keys
  std::list<int> silent_;                 ///< in the order in which they came
  std::set<std::pair<std::size_t, AddressBlock>> blocks_by_silent_;
  std::map<X25519Key, std::list<int>> nodes_;  ///< in the order in which they spoke
  std::size_t clients_ = 0;
};

}  // namespace allium::control
