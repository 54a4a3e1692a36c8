// SPDX-License-Identifier: Apache-2.0
#pragma once

// Several engines of one process on ring devices, joined by a switch in the test, on a clock of the test's
// own; and one client that is an address at the switch.
//
//   client -- [switch: by target MAC] -- ring device -- engine of n1
//                                     -- ring device -- engine of n2 ...
//
// Every frame that an engine sends is checked for lengths and checksums on its way. Every turn of a worker is
// watched (watched_turn.hpp): a test fails where one allocates, enters the kernel for more than the bell of the main
// thread, or reads a clock more than once.
//
//   Units      Unix milliseconds.
//   Threads    one, but for engines that a test starts itself.

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "client_net.hpp"
#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/engine/ring_device.hpp"
#include "frame_bytes.hpp"
#include "watched_turn.hpp"

namespace allium::dataplane {

inline constexpr std::uint64_t kTscHz = 2'000'000'000;

struct WorldTime {
  std::uint64_t now_ms = 0;
  std::uint64_t now_tsc = 0;
};

struct WorldOptions {
  std::size_t relay_count = 3;
  std::size_t workers = 1;
  std::size_t burst_max = 32;
  bool is_ipv6 = false;
  bool knows_neighbours = true;
  bool cookie_required = true;
  unsigned frames_max = 511;
  std::size_t parked_max = 1024;
  std::size_t unresolved_max = 256;
  std::size_t deliveries_max = 256;
  std::size_t setups_waiting_max = 256;
  unsigned setup_share_percent = 25;
  bool has_own_tsc = false;  ///< engines count cycles by RingWorld::time(), of kTscHz
  std::uint64_t sequence_count = std::uint64_t{1} << 34;
  const crypto_accel::KernelSet* kernels = nullptr;  ///< null: those of this CPU
  bool is_quiet = true;                              ///< false: what a turn does is counted only
};

/// What the turns of a relay's workers did.
struct ActsOfTurns {
  std::uint64_t turns = 0;
  Acts sum;
  std::uint64_t counter_reads_max = 0;  ///< of one turn
};

/// Memory that outlives an engine, as the controlling side's memfds do.
class KeptMemory {
 public:
  explicit KeptMemory(std::size_t byte_count);
  ~KeptMemory();
  KeptMemory(KeptMemory&& other) noexcept;
  KeptMemory& operator=(KeptMemory&& other) noexcept;

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

class RingRelay {
 public:
  RingRelay(std::size_t number, const WorldOptions& options, EngineClock clock);

  /// A new engine, as after a crash: with the memory of the last one, or with new memory.
  void restart();
  void restart_with_new_memory(std::uint64_t slot_floor);

  /// Keys of the epochs around `now_ms`; `all` are all relays.
  void publish(const std::vector<RelayName>& all, std::uint64_t now_ms);

  /// Where everybody is found; everybody is on the wire itself.
  void publish_neighbours(const std::vector<onion::Endpoint>& known);

  [[nodiscard]] const RelayName& name() const { return name_; }

  [[nodiscard]] const onion::Endpoint& endpoint() const { return name_.endpoint; }

  [[nodiscard]] MacAddress mac() const;

  [[nodiscard]] Engine& engine() { return *engine_; }

  [[nodiscard]] RingDevice& device() { return *device_; }

  [[nodiscard]] control_port::Counters counters() const { return engine_->counters(); }

  [[nodiscard]] std::uint64_t drops(onion::Verdict verdict) const {
    return counters().verdicts[static_cast<std::size_t>(verdict)];
  }

  /// One turn of every worker; how many packets came in.
  std::size_t poll();

  [[nodiscard]] std::size_t setups_waiting() const;

  /// Of all turns of poll().
  [[nodiscard]] const ActsOfTurns& acts() const { return acts_; }

 private:
  void make_engine();
  void enter(const Acts& turn);

  RelayName name_;
  WorldOptions options_;
  EngineClock clock_;
  KeptMemory replay_;
  KeptMemory handles_;
  std::uint64_t slot_floor_if_new_ = 0;
  std::uint64_t start_ = 0;
  std::uint64_t serial_ = 0;
  ActsOfTurns acts_;
  std::unique_ptr<RingDevice> device_;
  std::unique_ptr<Engine> engine_;
};

class RingWorld final : public ClientNet {
 public:
  explicit RingWorld(const WorldOptions& options = {});

  [[nodiscard]] RingRelay& relay(std::size_t index) { return *relays_[index]; }

  [[nodiscard]] std::size_t relay_count() const { return relays_.size(); }

  // ClientNet
  [[nodiscard]] std::uint64_t now_ms() const override { return time_.now_ms; }

  [[nodiscard]] RelayName relay_name(std::size_t index) const override {
    return relays_[index]->name();
  }

  bool send(std::size_t relay_index, Bytes datagram) override;
  [[nodiscard]] std::vector<Arrived> collect(std::size_t count) override;

  [[nodiscard]] control_port::Counters counters(std::size_t relay_index) override {
    return relays_[relay_index]->counters();
  }

  void crash(std::size_t relay_index) override;

  void advance_ms(std::uint64_t ms);

  [[nodiscard]] WorldTime& time() { return time_; }

  /// New keys for everybody, by the clock.
  void publish_all();
  void publish_neighbours();

  [[nodiscard]] const onion::Endpoint& client() const { return client_; }

  /// A frame with `datagram` from the client to a queue of a relay. False: the device is full.
  bool send_to_queue(std::size_t relay_index, Bytes datagram, std::size_t queue);

  /// Runs workers and the switch until nothing moves any more.
  void settle();

  /// The switch alone: moves what engines have sent.
  std::size_t switch_frames();

  /// What the client got since the last call.
  [[nodiscard]] std::vector<Arrived> take_arrived();

  /// Sees every frame between two relays; false drops it.
  std::function<bool(std::size_t to_relay, FrameBytes& frame)> on_link;

  /// The books of every relay balance to the packet, and nothing is parked.
  void expect_balanced(std::uint64_t parked = 0);

 private:
  void forward(FrameBytes frame);

  WorldOptions options_;
  WorldTime time_;
  onion::Endpoint client_;
  std::vector<std::unique_ptr<RingRelay>> relays_;
  std::vector<Arrived> arrived_;
  std::size_t next_queue_ = 0;
};

/// A device of the EAL that test_pool() brings up; it can hash flows.
inline constexpr const char* kNullDevice = "net_null0";

/// The packets of every test of the process; brings the EAL up without huge pages.
[[nodiscard]] rte_mempool* test_pool();

[[nodiscard]] bool is_balanced(const control_port::Counters& counters);

}  // namespace allium::dataplane
