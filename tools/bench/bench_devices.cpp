// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/bench_devices.hpp"

#include <algorithm>
#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "dataplane/engine/device_io.hpp"
#include "tools/bench/pcap_file.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kSparePackets = 4096;  // beside the loop: in flight, in caches of the pool
constexpr unsigned kMegabytesBeside = 64;    // queues, rings, the engine's own
constexpr const char* kCountVdev = "net_null0,no-rx=1";

std::string replay_vdev(std::size_t input, const std::string& path) {
  return "net_pcap" + std::to_string(input) + ",rx_pcap=" + path + ",infinite_rx=1";
}

}  // namespace

BenchDevices::~BenchDevices() {
  ring_in_.reset();
  capture_.reset();
  dataplane::stop_devices();
}

Result<std::unique_ptr<BenchDevices>> BenchDevices::create(const BenchDevicesConfig& config) {
  std::unique_ptr<BenchDevices> devices(new BenchDevices(config));
  if (auto up = devices->start(); !up) {
    return tl::unexpected(up.error());
  }
  return devices;
}

Result<void> BenchDevices::start() {
  const bool is_pcap = config_.backend == Backend::pcap;
  // The pcap device holds all packets of its file in buffers.
  const std::size_t buffers =
      kSparePackets + (is_pcap ? config_.packet_count * config_.replay_paths.size() : 0);
  dataplane::EalConfig eal;
  eal.vdevs = {kCountVdev};
  for (std::size_t i = 0; is_pcap && i < config_.replay_paths.size(); ++i) {
    eal.vdevs.push_back(replay_vdev(i, config_.replay_paths[i]));
  }
  eal.pages = config_.pages;
  eal.memory_mb =
      static_cast<unsigned>(buffers * kPacketBufferBytes / 1'000'000) + kMegabytesBeside;
  auto started = dataplane::start_eal(eal);
  if (!started) {
    return tl::unexpected(started.error());
  }
  eal_ = *started;
  auto pool = dataplane::make_packet_pool("allium_bench", static_cast<unsigned>(buffers));
  if (!pool) {
    return fail(Errc::unavailable,
                "no memory for " + std::to_string(buffers) + " packets; use fewer: --packets");
  }
  pool_ = std::move(*pool);
  auto count_port = start_one(kCountVdev, config_.worker_count);
  if (!count_port) {
    return tl::unexpected(count_port.error());
  }
  count_port_ = *count_port;
  const auto queues = static_cast<std::uint16_t>(config_.worker_count);
  auto capture = dataplane::RingDevice::create({"bench_capture", queues}, pool_.get());
  if (!capture) {
    return tl::unexpected(capture.error());
  }
  capture_ = std::move(*capture);
  return start_inputs();
}

Result<std::uint16_t> BenchDevices::start_one(const std::string& vdev, std::size_t queues) {
  auto port = dataplane::find_device(vdev);
  if (!port) {
    return port;
  }
  const dataplane::DeviceQueues wanted{static_cast<std::uint16_t>(queues), 512};
  if (auto started = dataplane::start_device(*port, wanted, pool_.get()); !started) {
    return tl::unexpected(started.error());
  }
  return port;
}

Result<void> BenchDevices::start_inputs() {
  if (config_.backend == Backend::pcap) {
    for (std::size_t i = 0; i < config_.replay_paths.size(); ++i) {
      auto port = start_one(replay_vdev(i, config_.replay_paths[i]), 1);
      if (!port) {
        return tl::unexpected(port.error());
      }
      inputs_.push_back(*port);
    }
    return {};
  }
  const auto queues = static_cast<std::uint16_t>(config_.worker_count);
  auto ring =
      dataplane::RingDevice::create({"bench_input", queues, config_.ring_frames}, pool_.get());
  if (!ring) {
    return tl::unexpected(ring.error());
  }
  ring_in_ = std::move(*ring);
  inputs_.assign(config_.replay_paths.size(), ring_in_->dpdk_port());
  return load_frames();
}

Result<void> BenchDevices::load_frames() {
  for (const std::string& path : config_.replay_paths) {
    auto file = PcapReader::open(path);
    if (!file) {
      return tl::unexpected(file.error());
    }
    for (std::size_t i = 0; i < config_.packet_count; ++i) {
      auto frame = file->next();
      if (!frame) {
        return tl::unexpected(frame.error());
      }
      if (i == 0) {
        frame_bytes_ = frame->size();
        frames_.push_back(std::make_unique<SetMemory>(config_.packet_count * frame_bytes_));
      }
      ALLIUM_CHECK(frame->size() == frame_bytes_);  // all packets of a class are of one size
      std::memcpy(frames_.back()->bytes().data() + i * frame_bytes_, frame->data(), frame_bytes_);
    }
  }
  return {};
}

Bytes BenchDevices::frame(std::size_t input, std::size_t index) const noexcept {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(frames_[input]->bytes().data());
  return {bytes + index % config_.packet_count * frame_bytes_, frame_bytes_};
}

std::vector<dataplane::EnginePort> BenchDevices::ports(std::size_t input) const {
  return {{inputs_[input], config_.identity},
          {count_port_, config_.identity},
          {capture_->dpdk_port(), config_.identity}};
}

std::size_t BenchDevices::offer(std::size_t input, std::size_t worker, std::size_t first,
                                std::size_t count) noexcept {
  if (config_.backend == Backend::pcap) {
    return count;
  }
  std::size_t offered = 0;
  while (offered < count && ring_in_->put(worker, frame(input, first + offered))) {
    ++offered;
  }
  return offered;
}

std::uint64_t BenchDevices::forward_untouched(std::size_t input, std::size_t burst,
                                              std::size_t first,
                                              std::size_t packet_count) noexcept {
  if (config_.backend == Backend::pcap) {
    return dataplane::forward_untouched(inputs_[input], count_port_, burst, packet_count);
  }
  const std::uint64_t begin = dataplane::tsc_now();
  for (std::size_t moved = 0; moved < packet_count;) {
    const std::size_t offered =
        offer(input, 0, first + moved, std::min(burst, packet_count - moved));
    static_cast<void>(dataplane::forward_untouched(inputs_[input], count_port_, burst, offered));
    moved += offered;
  }
  return dataplane::tsc_now() - begin;
}

std::uint64_t BenchDevices::sink_count() const {
  return dataplane::device_counts(count_port_).sent;
}

std::size_t BenchDevices::judge_captured(NextRelay& next, std::size_t worker) {
  std::vector<std::vector<std::uint8_t>> frames;
  for (auto frame = capture_->take(worker); frame; frame = capture_->take(worker)) {
    frames.push_back(std::move(*frame));
  }
  return next.accept(std::move(frames));
}

}  // namespace allium::bench
