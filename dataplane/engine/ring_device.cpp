// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/ring_device.hpp"

#include <array>
#include <cstring>
#include <utility>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "crypto_accel/base/check.hpp"
#include "dataplane/engine/eal.hpp"

namespace allium::dataplane {
namespace {

constexpr int kAnySocket = SOCKET_ID_ANY;

struct RingDrain {
  void operator()(rte_ring* ring) const noexcept {
    void* packet = nullptr;
    while (rte_ring_sc_dequeue(ring, &packet) == 0) {
      rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    }
    rte_ring_free(ring);
  }
};

using PacketRing = std::unique_ptr<rte_ring, RingDrain>;

Result<PacketRing> make_packet_ring(const std::string& name, unsigned frames_max) {
  rte_ring* ring = rte_ring_create(name.c_str(), frames_max, kAnySocket,
                                   RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ);
  if (ring == nullptr) {
    return fail(Errc::unavailable,
                "no ring for the device " + name + ": " + rte_strerror(rte_errno));
  }
  return PacketRing(ring);
}

}  // namespace

struct RingDevice::State {
  rte_mempool* pool = nullptr;
  std::uint16_t queue_count = 0;
  std::array<PacketRing, kQueuesMax> to_engine;
  std::array<PacketRing, kQueuesMax> from_engine;
  std::optional<std::uint16_t> dpdk_port;

  ~State() {
    if (dpdk_port) {
      rte_eth_dev_stop(*dpdk_port);
      rte_eth_dev_close(*dpdk_port);
    }
  }
};

RingDevice::RingDevice(std::unique_ptr<State> state) : state_(std::move(state)) {}

RingDevice::~RingDevice() = default;

Result<std::unique_ptr<RingDevice>> RingDevice::create(const RingDeviceConfig& config,
                                                       rte_mempool* pool) {
  if (config.queue_count < 1 || config.queue_count > kQueuesMax || config.name.empty() ||
      config.name.size() > 20) {
    return fail(Errc::out_of_range,
                "a ring device has 1 to 16 queues and a name of 1 to 20 letters");
  }
  auto state = std::make_unique<State>();
  state->pool = pool;
  state->queue_count = config.queue_count;
  std::array<rte_ring*, kQueuesMax> rx{};
  std::array<rte_ring*, kQueuesMax> tx{};
  for (std::size_t queue = 0; queue < config.queue_count; ++queue) {
    const std::string suffix = "_" + std::to_string(queue);
    auto in = make_packet_ring(config.name + "_i" + suffix, config.frames_max);
    auto out = make_packet_ring(config.name + "_o" + suffix, config.frames_max);
    if (!in || !out) {
      return tl::unexpected(in ? out.error() : in.error());
    }
    rx[queue] = in->get();
    tx[queue] = out->get();
    state->to_engine[queue] = std::move(*in);
    state->from_engine[queue] = std::move(*out);
  }
  const int port = rte_eth_from_rings(config.name.c_str(), rx.data(), config.queue_count, tx.data(),
                                      config.queue_count, 0);
  if (port < 0) {
    return fail(Errc::unavailable, "no ring device: " + std::string(rte_strerror(rte_errno)));
  }
  state->dpdk_port = static_cast<std::uint16_t>(port);
  DeviceQueues queues;
  queues.count = config.queue_count;
  const auto started = start_device(*state->dpdk_port, queues, pool);
  if (!started) {
    return tl::unexpected(started.error());
  }
  return std::unique_ptr<RingDevice>(new RingDevice(std::move(state)));
}

std::uint16_t RingDevice::dpdk_port() const noexcept {
  return *state_->dpdk_port;
}

bool RingDevice::put(std::size_t queue, Bytes frame) noexcept {
  ALLIUM_CHECK(queue < state_->queue_count);
  rte_mbuf* packet = rte_pktmbuf_alloc(state_->pool);
  if (packet == nullptr) {
    return false;
  }
  char* room = frame.size() <= rte_pktmbuf_tailroom(packet)
                   ? rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size()))
                   : nullptr;
  if (room != nullptr) {
    std::memcpy(room, frame.data(), frame.size());
    if (rte_ring_sp_enqueue(state_->to_engine[queue].get(), packet) == 0) {
      return true;
    }
  }
  rte_pktmbuf_free(packet);
  return false;
}

std::optional<std::vector<std::uint8_t>> RingDevice::take(std::size_t queue) {
  ALLIUM_CHECK(queue < state_->queue_count);
  void* taken = nullptr;
  if (rte_ring_sc_dequeue(state_->from_engine[queue].get(), &taken) != 0) {
    return std::nullopt;
  }
  auto* packet = static_cast<rte_mbuf*>(taken);
  const auto* bytes = rte_pktmbuf_mtod(packet, const std::uint8_t*);
  std::vector<std::uint8_t> frame(bytes, bytes + packet->data_len);
  rte_pktmbuf_free(packet);
  return frame;
}

}  // namespace allium::dataplane
