// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a datagram to an address leaves: port, own address, the neighbour's MAC. Immutable: the main
// thread learns from the kernel and publishes a new table, workers read.
//
//   Threads    const after construction: any number of readers.
//   Limits     kEntriesMax addresses; the main thread forgets the oldest.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "dataplane/engine/frame.hpp"

namespace allium::dataplane {

struct NextHop {
  std::uint16_t port_index = 0;
  MacAddress mac{};
  std::array<std::uint8_t, 16> source_address{};
};

class NextHopTable {
 public:
  static constexpr std::size_t kEntriesMax = 16384;
  using Address = std::array<std::uint8_t, 16>;

  struct AddressHash {
    std::size_t operator()(const Address& address) const noexcept {
      // Addresses come from the network document and from reply blocks that this relay sealed, and the
      // main thread bounds their number, so a plain mix is enough here.
      return static_cast<std::size_t>((load_be(address.data(), 8) * 0x9e3779b97f4a7c15ULL) ^
                                      (load_be(address.data() + 8, 8) * 0xc2b2ae3d27d4eb4fULL));
    }
  };

  using Entries = std::unordered_map<Address, NextHop, AddressHash>;

  NextHopTable() = default;

  /// `everything_else`: for ports without neighbours (pcap, null, ring).
  explicit NextHopTable(Entries entries, std::optional<NextHop> everything_else = std::nullopt)
      : entries_(std::move(entries)), everything_else_(everything_else) {}

  /// Null: ask the main thread.
  [[nodiscard]] const NextHop* find(const Address& address) const noexcept {
    const auto found = entries_.find(address);
    if (found != entries_.end()) {
      return &found->second;
    }
    return everything_else_ ? &*everything_else_ : nullptr;
  }

 private:
  Entries entries_;
  std::optional<NextHop> everything_else_;
};

}  // namespace allium::dataplane
