// SPDX-License-Identifier: Apache-2.0
#pragma once

// Setup packets that were admitted and wait to be opened: first in, first out, a fixed number.
//
//   Ownership  of the packets: whoever pushed them, until they are taken out again.
//   Threads    one, the worker.
//   Limits     what the constructor says; push requires that it is not full.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "crypto_accel/base/check.hpp"
#include "dataplane/onion/burst.hpp"

struct rte_mbuf;

namespace allium::dataplane {

/// What admission found out about a packet, and the packet.
struct WaitingSetup {
  rte_mbuf* packet = nullptr;
  std::uint8_t* payload = nullptr;
  onion::Endpoint source;
  std::uint64_t slot = 0;
  std::uint32_t previous = 0;
  std::uint16_t bytes = 0;
  onion::PacketType type{};
  std::uint8_t wire_type = 0;
  bool from_relay = false;
};

class SetupQueue {
 public:
  explicit SetupQueue(std::size_t waiting_max) : places_(waiting_max) {}

  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  [[nodiscard]] bool is_full() const noexcept { return count_ == places_.size(); }

  void push(const WaitingSetup& setup) noexcept {
    ALLIUM_CHECK(!is_full());
    places_[(first_ + count_++) % places_.size()] = setup;
  }

  /// The oldest. Requires size() > 0.
  WaitingSetup pop() noexcept {
    ALLIUM_CHECK(count_ > 0);
    --count_;
    const WaitingSetup& oldest = places_[first_];
    first_ = (first_ + 1) % places_.size();
    return oldest;
  }

 private:
  std::vector<WaitingSetup> places_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace allium::dataplane
