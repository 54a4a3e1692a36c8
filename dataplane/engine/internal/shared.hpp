// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the workers of one engine share. The main thread writes the two published pointers; workers read
// them between two quiescent states (rte_rcu_qsbr) and never keep them.

#include <atomic>
#include <memory>
#include <optional>

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "dataplane/engine/engine.hpp"
#include "dataplane/engine/sequence_numbers.hpp"
#include "dataplane/onion/bridge.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "dataplane/onion/setup_limiter.hpp"

namespace allium::dataplane {

/// Of a cache line.
inline constexpr std::size_t kLineBytes = 64;

/// A snapshot with what only this process needs of it.
struct PublishedSnapshot {
  std::unique_ptr<const onion::RelaySnapshot> relay;
  std::uint16_t salt_alloc_first = 0;
};

/// A datagram for the controlling side, by value through a ring (its size is a multiple of 4).
struct DeliverySlot {
  std::uint8_t type;
  std::uint8_t context_bytes;
  std::uint16_t data_bytes;
  std::array<std::uint8_t, 16> t;
  std::array<std::uint8_t, onion::kReturnBlockBytes * 4> context;
  std::array<std::uint8_t, 1072> data;
};

static_assert(sizeof(DeliverySlot) % 4 == 0);

/// An answer from the controlling side.
struct ReplySlot {
  std::uint8_t is_block;  ///< reply block, else return context
  std::uint8_t packet_class;
  std::uint16_t route_bytes;
  std::uint16_t data_bytes;
  std::uint16_t reserved;
  std::uint64_t seq;
  std::array<std::uint8_t, onion::kReturnBlockBytes * 4> route;
  std::array<std::uint8_t, 1072> data;
};

static_assert(sizeof(ReplySlot) % 4 == 0);
static_assert(onion::kReplyBlockBytesD <= onion::kReturnBlockBytes * 4);

struct RingFree {
  void operator()(rte_ring* ring) const noexcept { rte_ring_free(ring); }
};

using RingPointer = std::unique_ptr<rte_ring, RingFree>;

/// What workers or the main thread write has lines of its own, apart from what workers read every turn.
struct Shared {
  EngineConfig config;
  std::optional<onion::ReplaySet> replay;
  std::optional<onion::HandleTable> handles;
  onion::Bridge bridge;
  std::unique_ptr<onion::SetupLimiter> limiter;
  rte_rcu_qsbr* quiescence = nullptr;
  RingPointer unresolved;  ///< addresses; producers: workers; consumer: main
  RingPointer replies;     ///< ReplySlot; producer: main; consumer: worker 0
  int bell = -1;           ///< an eventfd that wakes the main thread
  alignas(kLineBytes) std::atomic<const PublishedSnapshot*> snapshot{nullptr};
  std::atomic<const NextHopTable*> next_hops{nullptr};
  alignas(kLineBytes) SequenceNumbers sequences;
  alignas(kLineBytes) std::atomic<std::uint64_t> deliveries_lost{0};
  std::atomic<bool> is_bell_armed{true};
};

}  // namespace allium::dataplane
