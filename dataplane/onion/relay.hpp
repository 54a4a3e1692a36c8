// SPDX-License-Identifier: Apache-2.0
#pragma once

// A relay and its terminal services (SPEC.md sections 9 to 12), without any I/O: datagrams in, datagrams
// out, one verdict a datagram. Bursts of 1 to 32 give the same bytes as one by one: everything that has
// an order (replay, salts, handles, random draws, sequence numbers) happens in lane order.
//
//   admit()     steps 1 to 7: what is dropped before any key of a layer is touched; challenges.
//   process()   steps 8 to 12: layers, replay, services, routes.
//   transmit()  step 13: new link header, tag and veil, or client tag. It ends the work on a burst also where nothing
//               is sent: until then keys may be in the registers and on the stack.
//
// Between admit() and process() a caller may move lanes to another burst (setup packets wait for full
// X25519 batches); between process() and transmit() it may park lanes whose delay is not over.
//
//   Units      now_ms is Unix time in milliseconds; it may step back, the slot floor does not.
//   Ownership  borrows everything in RelayParts, which outlives the object.
//   Errors     none: verdicts.
//   Threads    one object a worker; workers share ReplaySet, HandleTable, Bridge and SetupLimiter.
//   Timing     constant on secrets; MACs are compared whole.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/bridge.hpp"
#include "dataplane/onion/burst.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/relay_snapshot.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "dataplane/onion/setup_limiter.hpp"
#include "dataplane/onion/stage_probe.hpp"

namespace allium::onion {

/// How to answer an S packet (section 12.1, STORAGE): where it came from and the live return blocks.
struct ReturnContext {
  NextType previous_type = NextType::relay;
  std::array<std::uint8_t, 6> previous{};
  Block k_ret{};
  std::uint8_t depth = 0;                ///< 0 to 3
  std::array<std::uint8_t, 144> live{};  ///< the first 48 * depth bytes count
};

/// A datagram for a service of this node. Borrowed: valid during the call.
struct Delivery {
  std::uint16_t service;
  PacketType type;
  const std::uint8_t* t;     ///< 16 bytes
  const std::uint8_t* data;  ///< X_R
  std::size_t data_bytes;
  const ReturnContext* context;  ///< S0, S1 only
};

/// Takes deliveries to all known services, before the answer if there is one. False: there is no room,
/// and the packet's verdict is `rate`.
struct DeliverySink {
  void* state = nullptr;
  bool (*deliver)(void* state, const Delivery& delivery) noexcept = nullptr;
};

/// Sequence numbers of links: each at most once in an epoch, whoever asks (section 4).
struct SequenceSource {
  void* state = nullptr;
  /// False where the range of that epoch has ended: verdict `tx_full`.
  bool (*take)(void* state, std::uint64_t epoch, std::uint64_t& seq) noexcept = nullptr;
};

/// Salts of segments: each at most once under one (A_e, B_e) (section 6). Same contract.
using SaltSource = SequenceSource;

struct RelayParts {
  crypto_accel::KernelSet kernels;
  ReplaySet* replay = nullptr;
  HandleTable* handles = nullptr;
  Bridge* bridge = nullptr;
  SetupLimiter* limiter = nullptr;  ///< null: no limit
  SequenceSource sequence;
  SaltSource salt;
  Random random;
  DeliverySink sink;
  StageProbe probe{};  ///< measurements only
};

class Relay {
 public:
  explicit Relay(const RelayParts& parts);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  void admit(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept;
  void process(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept;

  /// Finishes every lane with outgoing != none in place. Lanes whose link key or sequence number is gone
  /// get the drop and outgoing none.
  void transmit(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept;

  /// admit, process and transmit in one; delays are left in `delay_10ms`.
  void run(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept {
    admit(snapshot, burst, now_ms);
    process(snapshot, burst, now_ms);
    transmit(snapshot, burst, now_ms);
  }

  /// Puts an answer of a service into lane `lane` of `burst` (data[lane] has room for a datagram), ready
  /// for transmit(): R over a return context, or D/V over a reply block. `data` shorter than X_R is
  /// padded with zeros. Sets verdict forward and outgoing answer, or the drop (`svc_malformed`,
  /// `no_route`, `handle`).
  void reply_return(const RelaySnapshot& snapshot, const ReturnContext& context, std::uint64_t seq,
                    Bytes data, Burst& burst, std::size_t lane, std::uint64_t now_ms) noexcept;
  void reply_block(const RelaySnapshot& snapshot, PacketClass packet_class, Bytes reply_block,
                   std::uint64_t seq, Bytes data, Burst& burst, std::size_t lane,
                   std::uint64_t now_ms) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allium::onion
