// SPDX-License-Identifier: Apache-2.0
#pragma once

// DPDK's environment and devices, brought up once a process: huge pages where there are some, root or
// not, no PCI, no telemetry, no shared files.
//
//   Errors     one line that says what to do; DPDK's own log goes to memory and is quoted.
//   Threads    the main thread, before any worker.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/engine/frame.hpp"

struct rte_mempool;

namespace allium::dataplane {

enum class Pages : std::uint8_t { automatic, huge, small };

struct EalConfig {
  std::vector<std::string> vdevs;  ///< "net_af_packet0,iface=eth0", ...
  Pages pages = Pages::automatic;
  unsigned memory_mb = 64;
};

struct EalState {
  bool uses_huge_pages = false;
};

/// Brings the EAL up, once a process. Fails with Errc::unavailable; with Errc::full where automatic pages were
/// huge ones and it did not start: another process may start with small ones.
Result<EalState> start_eal(const EalConfig& config);

/// A device by the name that it got from --vdev ("net_af_packet0"). Fails with Errc::not_found.
Result<std::uint16_t> find_device(const std::string& vdev);

struct DeviceQueues {
  std::uint16_t count = 1;
  std::uint16_t descriptors = 512;
  bool may_start_later = false;  ///< that it does not start is no error: start_again() follows
};

struct StartedDevice {
  MacAddress mac{};
  /// It chooses the queue of a packet by a hash of addresses and UDP ports (RSS). False with one queue.
  bool hashes_flows = false;
};

/// Sets up queues, spreads flows over them where the device can, starts it. Fails with Errc::unavailable.
Result<StartedDevice> start_device(std::uint16_t dpdk_port, const DeviceQueues& queues,
                                   rte_mempool* pool);

[[nodiscard]] bool has_link(std::uint16_t dpdk_port) noexcept;

/// Stops and starts a device, which a memif client needs that found no server: it does not try again by itself.
/// Before any worker polls it. False: it is not started.
bool start_again(std::uint16_t dpdk_port) noexcept;

struct PoolFree {
  void operator()(rte_mempool* pool) const noexcept;
};

using PacketPool = std::unique_ptr<rte_mempool, PoolFree>;

/// Packets of 2048 bytes and head room. Fails with Errc::unavailable.
Result<PacketPool> make_packet_pool(const std::string& name, unsigned packet_count);

/// Stops and closes every device, so that files are flushed and maps are gone.
void stop_devices() noexcept;

}  // namespace allium::dataplane
