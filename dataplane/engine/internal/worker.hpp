// SPDX-License-Identifier: Apache-2.0
#pragma once

// One poll-mode worker: queue i of every port, from receive to send. After creation it allocates nothing, and
// locks (but for the tables of IPv6 clients and of BRIDGE), logs, reads a clock or enters the kernel for no packet
// (the devices without hardware do, to move frames). The tests watch every turn for that.
//
//   receive -> parse -> admit -> [S: setup queue] -> process -> [delay: parked] -> transmit -> headers
//           -> [no neighbour yet: waiting] -> send
//
//   Ownership  owns the packets that it received until they are sent or freed.
//   Threads    one. Counters are read by others.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <rte_mbuf.h>

#include "crypto_accel/base/random.hpp"
#include "dataplane/engine/internal/setup_queue.hpp"
#include "dataplane/engine/internal/shared.hpp"
#include "dataplane/engine/setup_pace.hpp"
#include "dataplane/engine/worker_counters.hpp"
#include "dataplane/onion/relay.hpp"

namespace allium::dataplane {

class Worker {
 public:
  Worker(Shared& shared, std::size_t index, RingPointer deliveries);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// One turn; the number of packets received. Enters and leaves the quiescent state by itself.
  std::size_t poll() noexcept;

  /// After configure: the relay needs the persistent sets.
  void make_relay();

  /// Setup packets that wait: a reason for another turn soon. The worker's thread.
  [[nodiscard]] std::size_t setups_waiting() const noexcept { return setups_.size(); }

  [[nodiscard]] const WorkerCounters& counters() const noexcept { return counters_; }

  [[nodiscard]] rte_ring* deliveries() const noexcept { return deliveries_.get(); }

 private:
  /// How a lane enters the books when it is done.
  enum class Origin : std::uint8_t {
    received,  ///< just now
    parked,    ///< counted as received and parked before
    service,   ///< made here from an answer of the controlling side: never received
  };

  /// A burst with the packets that carry it.
  struct PacketBurst {
    onion::Burst burst;
    onion::Lanes<rte_mbuf*> packet{};
    onion::Lanes<std::uint8_t> wire_type{};
    onion::Lanes<Origin> origin{};

    void clear() noexcept { burst.count = 0; }

    [[nodiscard]] onion::LaneMask lanes() const noexcept {
      return crypto_accel::first_lanes(burst.count);
    }
  };

  /// A packet that waits: for its delay, or with its link header on for a neighbour.
  struct Waiting {
    rte_mbuf* packet = nullptr;
    std::uint8_t* payload = nullptr;
    std::uint64_t due_ms = 0;  ///< send then, or give up then
    Origin origin{};
    onion::Target target;
    onion::PacketType type{};
    std::uint64_t slot = 0;
    std::uint16_t bytes = 0;
    std::uint8_t wire_type = 0;
    onion::Outgoing outgoing{};
    onion::Verdict verdict{};
  };

  void receive(std::size_t port_index) noexcept;
  void parse(std::size_t port_index, std::span<rte_mbuf*> packets) noexcept;
  void take_setup_lanes() noexcept;
  void run_setups() noexcept;
  [[nodiscard]] std::uint64_t now_tsc() const noexcept;
  void park_delayed(PacketBurst& packets) noexcept;
  void run_parked() noexcept;
  void run_unresolved() noexcept;
  void run_replies() noexcept;
  void ring_bell() noexcept;
  void originate(const ReplySlot& slot, PacketBurst& packets) noexcept;
  bool open_context(const ReplySlot& slot, onion::ReturnContext& context) const noexcept;
  bool seal_context(const onion::ReturnContext& context, DeliverySlot& slot) noexcept;

  /// Link headers, frames, send, books: the end of every burst.
  void finish(PacketBurst& packets) noexcept;
  bool queue_for_send(PacketBurst& packets, std::size_t lane) noexcept;
  bool wait_for_neighbour(PacketBurst& packets, std::size_t lane) noexcept;
  void send_queued(PacketBurst& packets) noexcept;
  void count(PacketBurst& packets) noexcept;
  void move_lane(std::size_t from, std::size_t to) noexcept;  ///< of data_

  static bool deliver(void* self, const onion::Delivery& delivery) noexcept;
  static bool take_sequence(void* self, std::uint64_t epoch, std::uint64_t& seq) noexcept;
  static bool take_salt(void* self, std::uint64_t epoch, std::uint64_t& salt) noexcept;

  Shared& shared_;
  const std::size_t index_;
  WorkerCounters counters_;
  WorkerRandom random_;
  std::unique_ptr<onion::Relay> relay_;
  RingPointer deliveries_;

  // Valid during a turn only.
  const PublishedSnapshot* published_ = nullptr;
  const onion::RelaySnapshot* snapshot_ = nullptr;
  const NextHopTable* next_hops_ = nullptr;
  std::uint64_t now_ms_ = 0;
  std::size_t received_this_turn_ = 0;
  std::size_t data_this_turn_ = 0;  ///< of these: admitted, and no setup packets
  bool has_news_ = false;           ///< something for the main thread
  std::uint64_t bell_ms_ = 0;       ///< when it was told last

  PacketBurst data_;
  PacketBurst other_;  ///< setup packets, parked packets and answers on their way out
  SetupQueue setups_;
  SetupPace setup_pace_;
  SequenceBlock sequence_;
  std::uint64_t salt_counter_ = 0;
  std::uint16_t salt_alloc_ = 0;
  const NextHopTable* checked_next_hops_ = nullptr;  ///< compared, never followed
  std::uint64_t unresolved_checked_ms_ = 0;
  std::uint64_t parked_checked_ms_ = 0;
  std::vector<Waiting> parked_;      ///< at most config.parked_max
  std::vector<Waiting> unresolved_;  ///< at most config.unresolved_max

  /// Frames of the burst that is being finished, by port.
  struct SendQueue {
    std::size_t count = 0;
    onion::Lanes<rte_mbuf*> packet{};
  };

  std::array<SendQueue, kPortsMax> send_queues_{};
};

// Workers lie in memory one by one and share no line.
static_assert(alignof(Worker) >= kLineBytes && sizeof(Worker) % kLineBytes == 0);

}  // namespace allium::dataplane
