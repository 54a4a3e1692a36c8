// SPDX-License-Identifier: Apache-2.0
#pragma once

// The TCP connections that came in: where from, and whether they have said anything. Whoever says nothing costs nothing but a connection,
// so anybody can have many of these: they do not count among the clients, and where there are too many, the one that came first gives
// way. Who means it has said something long before as many others have come.
//
//   Ownership  knows descriptors by number, and touches none.
//   Threads    the service thread.
//   Cost       O(log of connections).

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <unordered_map>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class Arrivals {
 public:
  explicit Arrivals(const OmqLimits& limits)
      : silent_max_(limits.silent), silent_per_address_max_(limits.silent_per_address) {}

  /// Requires one that is not here. Gives who loses its place for it, which is here until it has left.
  [[nodiscard]] std::optional<int> came(int descriptor, AddressBlock block);

  /// For the first time. Requires is_silent(). Service nodes are nobody's clients.
  void spoke(int descriptor, bool is_node);

  void left(int descriptor);

  [[nodiscard]] bool is_silent(int descriptor) const;

  [[nodiscard]] std::size_t clients() const noexcept { return clients_; }

  /// Clients of the address block that this one is of. Requires one that is here.
  [[nodiscard]] std::size_t clients_of_its_address(int descriptor) const;

 private:
  enum class Stage : std::uint8_t { silent, client, node };

  struct Arrival {
    AddressBlock block = 0;
    Stage stage = Stage::silent;
    std::list<int>::iterator place;           ///< in silent_, while it is silent
    std::list<int>::iterator place_in_block;  ///< in Block::silent, likewise
  };

  struct Block {
    std::list<int> silent;  ///< in the order in which they came
    std::size_t connections = 0;
    std::size_t clients = 0;
  };

  void take_from_silent(const Arrival& arrival);

  std::size_t silent_max_;
  std::size_t silent_per_address_max_;
  std::unordered_map<int, Arrival> arrivals_;
  std::map<AddressBlock, Block> blocks_;  ///< no hash: others choose the keys
  std::list<int> silent_;                 ///< in the order in which they came
  std::size_t clients_ = 0;
};

}  // namespace allium::control
