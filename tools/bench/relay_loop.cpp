// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/relay_loop.hpp"

#include <algorithm>
#include <cstring>

#include "dataplane/engine/device_io.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "tools/bench/forward_options.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kSlicePackets = 1024;       // a few milliseconds: most are not interrupted
constexpr std::uint64_t kReplayRate = 1'000'000;  // at least the set of a relay for 1 Mpps
constexpr std::size_t kSparePackets = 4096;  // beside the loop: in flight, in caches of the pool
constexpr std::size_t kEmptyPollsMax = 1'000'000;
constexpr onion::HandleLimits kHandleLimits{64, 0, 0};

// Places of the ports in EngineConfig::ports.
constexpr std::size_t kReplayPort = 0;
constexpr std::uint8_t kCountPort = 1;
constexpr std::uint8_t kCapturePort = 2;

// Whole bursts, so that slices and passes end where they should.
std::size_t slice_packets(std::size_t burst) {
  return (kSlicePackets + burst - 1) / burst * burst;
}

std::uint64_t standing_clock(void*) noexcept {
  return Traffic::kNowMs;
}

}  // namespace

RelayLoop::RelayLoop(const RelayLoopConfig& config, const Traffic& traffic)
    : config_(config), traffic_(traffic) {}

RelayLoop::~RelayLoop() {
  engine_.reset();
  dataplane::stop_devices();
}

Result<std::unique_ptr<RelayLoop>> RelayLoop::create(const RelayLoopConfig& config,
                                                     const Traffic& traffic) {
  std::unique_ptr<RelayLoop> loop(new RelayLoop(config, traffic));
  if (auto up = loop->start_devices(); !up) {
    return tl::unexpected(up.error());
  }
  if (auto up = loop->start_engine(); !up) {
    return tl::unexpected(up.error());
  }
  return loop;
}

Result<void> RelayLoop::start_devices() {
  const std::size_t buffers = config_.packet_count + kSparePackets;
  dataplane::EalConfig eal;
  eal.vdevs = {"net_pcap0,rx_pcap=" + config_.replay_path + ",infinite_rx=1", "net_null0,no-rx=1",
               "net_pcap1,tx_pcap=" + config_.capture_path};
  eal.pages = config_.pages;
  eal.memory_mb = static_cast<unsigned>(buffers * kPacketBufferBytes / 1'000'000 + 64);
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
  for (const std::string& vdev : eal.vdevs) {
    auto port = dataplane::find_device(vdev);
    if (!port) {
      return tl::unexpected(port.error());
    }
    if (auto device = dataplane::start_device(*port, {1, 512}, pool_.get()); !device) {
      return tl::unexpected(device.error());
    }
    ports_.push_back({*port, traffic_.identity()});
  }
  return {};
}

Result<void> RelayLoop::start_engine() {
  dataplane::EngineConfig config;
  config.kernels = config_.kernels;
  config.ports = ports_;
  config.pool = pool_.get();
  config.clock = {nullptr, standing_clock};
  config.burst_max = config_.burst;
  auto engine = dataplane::Engine::create(config);
  if (!engine) {
    return tl::unexpected(engine.error());
  }
  engine_ = std::move(*engine);
  // The clock stands still, so all passes write to the set of one slot: room for all, at its normal load.
  replay_lines_ = onion::ReplaySet::lines_for(
      std::max(kReplayRate, config_.inserts_max / onion::kSlotSeconds + 1));
  replay_ = std::make_unique<SetMemory>(onion::ReplaySet::bytes_needed(replay_lines_));
  handles_ = std::make_unique<SetMemory>(onion::HandleTable::bytes_needed(kHandleLimits));
  control_port::Configure configure;
  configure.replay_lines = replay_lines_;
  configure.handles_max = kHandleLimits.live_max;
  configure.handles_per_host = kHandleLimits.per_host;
  configure.handles_per_site = kHandleLimits.per_site;
  auto configured = engine_->configure(configure, {replay_->bytes(), handles_->bytes()});
  if (!configured) {
    return tl::unexpected(configured.error());
  }
  send_to(Sink::count);
  return {};
}

Result<void> RelayLoop::new_replay_key(const Random& random) {
  return engine_->publish(traffic_.snapshot(++serial_, random), traffic_.peers());
}

void RelayLoop::send_to(Sink sink) {
  dataplane::NextHop hop;
  hop.port_index = sink == Sink::count ? kCountPort : kCapturePort;
  hop.mac = traffic_.next_identity().mac;
  hop.source_address = traffic_.identity().addresses.front();
  engine_->publish_next_hops(dataplane::NextHopTable({}, hop));
}

Slice RelayLoop::run_slice(std::size_t packet_count) {
  Slice slice;
  std::size_t empty_polls = 0;
  const std::uint64_t begin = dataplane::tsc_now();
  while (slice.packets < packet_count && empty_polls < kEmptyPollsMax) {
    const std::size_t received = engine_->poll_once(0);
    slice.packets += received;
    empty_polls += received == 0 ? 1 : 0;
  }
  slice.cycles = dataplane::tsc_now() - begin;
  return slice;
}

Result<void> RelayLoop::run_pass(std::vector<Slice>& slices) {
  for (std::size_t left = config_.packet_count; left > 0;) {
    const std::size_t wanted = std::min(left, slice_packets(config_.burst));
    const Slice slice = run_slice(wanted);
    if (slice.packets < wanted) {
      return fail(Errc::unavailable, "the replay device brings no more packets");
    }
    slices.push_back(slice);
    left -= std::min(left, slice.packets);
  }
  return {};
}

void RelayLoop::run_pass_without_relay(std::vector<Slice>& slices) {
  for (std::size_t left = config_.packet_count; left > 0;) {
    const std::size_t packets = std::min(left, slice_packets(config_.burst));
    const std::uint64_t cycles = dataplane::forward_untouched(
        ports_[kReplayPort].dpdk_port, ports_[kCountPort].dpdk_port, config_.burst, packets);
    slices.push_back({cycles, packets});
    left -= packets;
  }
}

control_port::Counters RelayLoop::counters() const {
  return engine_->counters();
}

std::uint64_t RelayLoop::sink_count() const {
  return dataplane::device_counts(ports_[kCountPort].dpdk_port).sent;
}

std::uint64_t RelayLoop::replay_places_taken() const {
  // Four generations of lines stand at the end of the set's memory; a free place is zero.
  constexpr std::size_t kGenerations = 4;
  const std::size_t places = kGenerations * replay_lines_ * onion::ReplaySet::kPlacesPerLine;
  const std::span<const std::byte> lines = replay_->bytes().last(places * sizeof(std::uint32_t));
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < places; ++i) {
    std::uint32_t place = 0;
    std::memcpy(&place, lines.data() + i * sizeof place, sizeof place);
    taken += place != 0 ? 1 : 0;
  }
  return taken;
}

}  // namespace allium::bench
