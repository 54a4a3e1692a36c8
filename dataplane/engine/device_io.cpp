// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/device_io.hpp"

#include <algorithm>
#include <array>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

namespace allium::dataplane {

DeviceCounts device_counts(std::uint16_t dpdk_port) noexcept {
  rte_eth_stats stats{};
  rte_eth_stats_get(dpdk_port, &stats);
  return {stats.ipackets, stats.opackets};
}

std::uint64_t tsc_hz() noexcept {
  return rte_get_tsc_hz();
}

std::uint64_t tsc_now() noexcept {
  return rte_rdtsc();
}

std::uint64_t forward_untouched(std::uint16_t rx_port, std::uint16_t tx_port, std::size_t burst,
                                std::size_t packet_count) noexcept {
  std::array<rte_mbuf*, 32> packets{};
  const auto burst_max = static_cast<std::uint16_t>(std::min(burst, packets.size()));
  std::size_t moved = 0;
  const std::uint64_t begin = rte_rdtsc();
  while (moved < packet_count) {
    const std::uint16_t count = rte_eth_rx_burst(rx_port, 0, packets.data(), burst_max);
    const std::uint16_t sent = rte_eth_tx_burst(tx_port, 0, packets.data(), count);
    for (std::uint16_t i = sent; i < count; ++i) {
      rte_pktmbuf_free(packets[i]);
    }
    moved += count;
  }
  return rte_rdtsc() - begin;
}

}  // namespace allium::dataplane
