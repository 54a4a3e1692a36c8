// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the kernel knows of the way to an address: its routes and neighbours, learnt by netlink. The kernel
// stays the only owner of ARP, neighbour discovery and routing; this class asks and listens.
//
//   Ownership  owns its netlink caches and a socket that makes the kernel look for neighbours.
//   Errors     Errc::unavailable where netlink is.
//   Threads    the main thread.
//   Limits     NextHopTable::kEntriesMax addresses; the one asked for longest ago goes first.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/engine/next_hop_table.hpp"

namespace allium::dataplane {

struct KernelPort {
  std::string interface_name;
  std::uint16_t port_index = 0;
  std::vector<std::array<std::uint8_t, 16>> addresses;  ///< own, IPv4 as mapped
};

/// Own addresses of an interface that can be sent from (no link-local ones), IPv4 as mapped.
[[nodiscard]] Result<std::vector<std::array<std::uint8_t, 16>>> interface_addresses(
    const std::string& interface_name);

class KernelNeighbours {
 public:
  static constexpr std::uint64_t kTableEveryMs = 10;

  static Result<std::unique_ptr<KernelNeighbours>> open(std::vector<KernelPort> ports);
  ~KernelNeighbours();
  KernelNeighbours(const KernelNeighbours&) = delete;
  KernelNeighbours& operator=(const KernelNeighbours&) = delete;

  /// Datagrams leave from this address where a port has it: the one that other relays know. Else from the first
  /// of the family.
  void prefer_source(const NextHopTable::Address& address);

  /// Readable when the kernel has news.
  [[nodiscard]] int descriptor() const noexcept;

  void read_news() noexcept;

  /// The way to this address is wanted from now on.
  void want(const NextHopTable::Address& address, std::uint64_t now_ms);

  /// Asks the kernel again for what is wanted and unknown.
  void solicit(std::uint64_t now_ms) noexcept;

  /// changed_table may have something to say.
  [[nodiscard]] bool has_news() const noexcept;

  /// The table of everything wanted and known; nothing where it did not change since the last call, or where the
  /// last one was made less than kTableEveryMs ago: news of the kernel come in crowds.
  [[nodiscard]] std::optional<NextHopTable::Entries> changed_table(std::uint64_t now_ms);

 private:
  struct State;

  explicit KernelNeighbours(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::dataplane
