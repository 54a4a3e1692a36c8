// SPDX-License-Identifier: Apache-2.0
#pragma once

// One relay over DPDK ports: workers, the snapshot they read, the memory that outlives the process.
// No singletons: several engines run side by side in one process (tests over net_ring).
//
//   Units      times are Unix milliseconds from `clock`.
//   Ownership  owns workers, snapshots and tables; borrows ports, the packet pool and the clock, which
//              outlive it. Requires that the EAL is up (eal.hpp).
//   Errors     configure and publish say why and change nothing; packets have verdicts.
//   Threads    everything but poll_once is the main thread's. poll_once(worker) is one thread's a
//              worker: start() runs it in a thread of its own, tests and benches call it themselves.
//   Limits     kWorkersMax workers, kPortsMax ports, queue i of every port is worker i's.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/engine/frame.hpp"
#include "dataplane/engine/next_hop_table.hpp"
#include "dataplane/onion/relay_snapshot.hpp"
#include "dataplane/onion/stage_probe.hpp"

struct rte_mempool;

namespace allium::dataplane {

inline constexpr std::size_t kWorkersMax = 16;
inline constexpr std::size_t kPortsMax = 8;

/// Where the time comes from: `now_ms` is read once a turn, `now_tsc` twice at most.
struct EngineClock {
  void* state = nullptr;
  std::uint64_t (*now_ms)(void* state) noexcept = nullptr;
  std::uint64_t (*now_tsc)(void* state) noexcept = nullptr;  ///< null: the CPU's counter
  std::uint64_t tsc_hz = 0;                                  ///< of `now_tsc`
};

/// CLOCK_REALTIME.
[[nodiscard]] EngineClock system_clock() noexcept;

struct EnginePort {
  std::uint16_t dpdk_port = 0;
  PortIdentity identity;
};

struct EngineConfig {
  crypto_accel::KernelSet kernels;
  std::vector<EnginePort> ports;
  std::size_t worker_count = 1;
  rte_mempool* pool = nullptr;
  EngineClock clock = system_clock();
  std::size_t burst_max = 32;        ///< packets a receive call, 1 to 32
  std::size_t parked_max = 1024;     ///< packets a worker that wait for a delay
  std::size_t unresolved_max = 256;  ///< packets a worker that wait for a neighbour
  std::size_t deliveries_max = 256;  ///< datagrams a worker on their way to the controlling side
  std::size_t setups_waiting_max = 256;  ///< setup packets a worker that wait to be opened
  unsigned setup_share_percent = 25;     ///< of a worker's time while data comes, 1 to 100
  std::vector<int> worker_cpus;          ///< worker i runs on the one at i mod size; empty: on any
  onion::StageProbe probe{};             ///< measurements of one worker only
};

/// The memory of the replay set and the handle table, mapped by whoever owns the file descriptors.
struct PersistentMemory {
  std::span<std::byte> replay;
  std::span<std::byte> handles;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(const EngineConfig& config);
  ~Engine();  ///< stops the workers
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Takes replay set and handle table into use; once. The answer is the time from which packets are
  /// accepted. Fails with Errc::malformed, Errc::refused (a second time).
  Result<std::uint64_t> configure(const control_port::Configure& configure,
                                  const PersistentMemory& memory);

  /// A new snapshot for all workers; the old one is wiped when the last worker has left it.
  Result<void> publish(const control_port::SnapshotBegin& begin,
                       std::vector<onion::PeerConfig> peers);

  /// A new table of next hops.
  void publish_next_hops(NextHopTable table);

  /// Readable when a worker has something for the main thread: an unknown address, a delivery. Then
  /// read_news(), then take_*: what comes after read_news makes it readable again.
  [[nodiscard]] int news_descriptor() const noexcept;
  void read_news() noexcept;

  /// Addresses that workers asked for since the last call, at most `count_max`.
  [[nodiscard]] std::vector<NextHopTable::Address> take_unresolved(std::size_t count_max);

  /// Runs every worker in a thread that yields, then sleeps when idle. Requires configure and publish.
  void start();
  void stop() noexcept;

  /// One turn of a worker: receive, process, send on all ports. The answer is the number of packets
  /// received. Not together with start().
  std::size_t poll_once(std::size_t worker_index) noexcept;

  /// Setup packets that wait in a worker. Not together with start().
  [[nodiscard]] std::size_t setups_waiting(std::size_t worker_index) const noexcept;

  /// Clears a slice of what the replay set no longer needs; call at least every 100 ms.
  void maintain() noexcept;

  [[nodiscard]] control_port::Counters counters() const noexcept;

  /// Datagrams for services, at most `count_max`, oldest first.
  [[nodiscard]] control_port::Deliveries take_deliveries(std::size_t count_max);

  /// Answers of services, sent by worker 0. Fails with Errc::full.
  Result<void> reply(const control_port::ReturnReply& reply);
  Result<void> reply(const control_port::BlockReply& reply);

  [[nodiscard]] std::size_t worker_count() const noexcept;
  [[nodiscard]] bool is_configured() const noexcept;
  [[nodiscard]] bool has_snapshot() const noexcept;

 private:
  struct State;

  explicit Engine(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::dataplane
