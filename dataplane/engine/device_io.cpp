// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/device_io.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "crypto_accel/base/check.hpp"

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

PacketThread::PacketThread(int cpu) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  is_registered_ = rte_thread_register() == 0;
}

PacketThread::~PacketThread() {
  if (is_registered_) {
    rte_thread_unregister();
  }
}

namespace {

std::uint16_t free_all(std::uint16_t, std::uint16_t, rte_mbuf** packets, std::uint16_t count,
                       std::uint16_t, void*) {
  rte_pktmbuf_free_bulk(packets, count);
  return 0;
}

}  // namespace

ReceiveGate::ReceiveGate(std::uint16_t dpdk_port, std::size_t queue_count) : port_(dpdk_port) {
  for (std::size_t queue = 0; queue < queue_count; ++queue) {
    closed_.push_back(
        rte_eth_add_rx_callback(port_, static_cast<std::uint16_t>(queue), free_all, nullptr));
    ALLIUM_CHECK(closed_.back() != nullptr);
  }
}

ReceiveGate::~ReceiveGate() {
  for (std::size_t queue = 0; queue < closed_.size(); ++queue) {
    ALLIUM_CHECK(
        rte_eth_remove_rx_callback(port_, static_cast<std::uint16_t>(queue), closed_[queue]) == 0);
    // Nobody receives, so nobody is inside it.
    rte_free(const_cast<rte_eth_rxtx_callback*>(closed_[queue]));
  }
}

}  // namespace allium::dataplane
