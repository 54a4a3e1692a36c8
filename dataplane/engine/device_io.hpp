// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a measurement needs of devices, apart from any relay: their own counts, and a loop that moves packets
// and does nothing else.
//
//   Units      cycles are those of the time stamp counter.
//   Threads    one, and no engine running on these ports; a PacketThread in each that calls poll_once().

#include <cstddef>
#include <cstdint>
#include <vector>

struct rte_eth_rxtx_callback;

namespace allium::dataplane {

struct DeviceCounts {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

/// As the device counts, not the relay.
[[nodiscard]] DeviceCounts device_counts(std::uint16_t dpdk_port) noexcept;

[[nodiscard]] std::uint64_t tsc_hz() noexcept;
[[nodiscard]] std::uint64_t tsc_now() noexcept;

/// Receives and sends at least `packet_count` packets untouched; the cycles that it took.
[[nodiscard]] std::uint64_t forward_untouched(std::uint16_t rx_port, std::uint16_t tx_port,
                                              std::size_t burst, std::size_t packet_count) noexcept;

/// The calling thread as one that moves packets, as a worker's is: on one CPU, and with its own cache of the packet pool
/// where the EAL has room for another thread. Not for the main thread.
class PacketThread {
 public:
  explicit PacketThread(int cpu) noexcept;
  ~PacketThread();
  PacketThread(const PacketThread&) = delete;
  PacketThread& operator=(const PacketThread&) = delete;

 private:
  bool is_registered_;
};

/// While it lives, queues 0 .. queue_count - 1 of a port bring nothing; what the device receives is freed. Not while
/// another thread receives.
class ReceiveGate {
 public:
  ReceiveGate(std::uint16_t dpdk_port, std::size_t queue_count);
  ~ReceiveGate();
  ReceiveGate(const ReceiveGate&) = delete;
  ReceiveGate& operator=(const ReceiveGate&) = delete;

 private:
  std::uint16_t port_;
  std::vector<const rte_eth_rxtx_callback*> closed_;  ///< a queue each
};

}  // namespace allium::dataplane
