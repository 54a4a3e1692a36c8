// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the packets of a measurement come from and go to. The relays under test take turns on the same devices.
//
//   pcap:  replay file --(pcap device, endless; one an input)----> [worker]  --> null device, which counts
//   ring:  frames in memory --offer()--> ring device, a queue each -->       \--> ring device, to look at
//
//   Units      packets; cycles are those of the time stamp counter.
//   Ownership  owns devices, pool and frames; engines on its ports go first.
//   Errors     Errc of the EAL; Errc::full: start again with small pages (eal.hpp).
//   Threads    offer(): one a worker. The rest: the main thread. One object a process (the EAL is brought up once).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/engine/ring_device.hpp"
#include "tools/bench/forward_options.hpp"
#include "tools/bench/next_relay.hpp"
#include "tools/bench/set_memory.hpp"

namespace allium::bench {

struct BenchDevicesConfig {
  Backend backend = Backend::pcap;
  std::vector<std::string> replay_paths;  ///< written already: an input each
  std::size_t packet_count = 0;           ///< in each of them
  std::size_t worker_count = 1;           ///< the most that a relay has
  dataplane::PortIdentity identity;       ///< of the relay under test, on every port
  unsigned ring_frames = 511;             ///< that wait before a worker, with rings
  dataplane::Pages pages = dataplane::Pages::automatic;
};

/// Places of the ports that a relay gets.
inline constexpr std::size_t kInputPort = 0;
inline constexpr std::uint8_t kCountPort = 1;
inline constexpr std::uint8_t kCapturePort = 2;

class BenchDevices {
 public:
  static Result<std::unique_ptr<BenchDevices>> create(const BenchDevicesConfig& config);
  ~BenchDevices();
  BenchDevices(const BenchDevices&) = delete;
  BenchDevices& operator=(const BenchDevices&) = delete;

  /// For an engine that takes its packets from one input.
  [[nodiscard]] std::vector<dataplane::EnginePort> ports(std::size_t input) const;

  [[nodiscard]] rte_mempool* pool() const noexcept { return pool_.get(); }

  /// Puts packets `first` .. `first` + `count` - 1 of an input before a worker, round the end of the input; says how
  /// many. Nothing to do for a device that brings them by itself: `count`.
  std::size_t offer(std::size_t input, std::size_t worker, std::size_t first,
                    std::size_t count) noexcept;

  /// The cycles that `packet_count` packets of an input from `first` on take to the counting device without a relay,
  /// `burst` at a time.
  [[nodiscard]] std::uint64_t forward_untouched(std::size_t input, std::size_t burst,
                                                std::size_t first,
                                                std::size_t packet_count) noexcept;

  /// What the counting device took, by its own count.
  [[nodiscard]] std::uint64_t sink_count() const;

  /// Hands what a worker sent to the capturing port to the next relay; how many packets it accepts. Not more than 32
  /// packets at a time fit there for certain.
  std::size_t judge_captured(NextRelay& next, std::size_t worker);

  [[nodiscard]] bool uses_huge_pages() const noexcept { return eal_.uses_huge_pages; }

 private:
  explicit BenchDevices(BenchDevicesConfig config) : config_(std::move(config)) {}

  Result<void> start();
  Result<void> start_inputs();
  Result<std::uint16_t> start_one(const std::string& vdev, std::size_t queues);
  Result<void> load_frames();
  [[nodiscard]] Bytes frame(std::size_t input, std::size_t index) const noexcept;

  BenchDevicesConfig config_;
  dataplane::EalState eal_;
  dataplane::PacketPool pool_;
  std::unique_ptr<dataplane::RingDevice> ring_in_;
  std::unique_ptr<dataplane::RingDevice> capture_;
  std::vector<std::uint16_t> inputs_;
  std::uint16_t count_port_ = 0;
  std::vector<std::unique_ptr<SetMemory>> frames_;  ///< of every input, with rings
  std::size_t frame_bytes_ = 0;
};

}  // namespace allium::bench
