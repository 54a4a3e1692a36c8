// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/contender.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstring>
#include <thread>

#include "dataplane/engine/device_io.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kEmptyPollsMax = 1'000'000;
constexpr std::size_t kSettlePollsMax = 1'000;
constexpr onion::HandleLimits kHandleLimits{64, 0, 0};

std::uint64_t standing_clock(void*) noexcept {
  return Traffic::kNowMs;
}

}  // namespace

std::string kernel_names(const crypto_accel::KernelSet& kernels) {
  return "onion=" + std::string(kernels.onion->name) +
         ",x25519=" + std::string(kernels.x25519->name);
}

Contender::~Contender() = default;

Result<std::unique_ptr<Contender>> Contender::create(const ContenderConfig& config,
                                                     BenchDevices& devices,
                                                     const Traffic& traffic) {
  std::unique_ptr<Contender> contender(new Contender(config, devices, traffic));
  if (auto up = contender->start(); !up) {
    return tl::unexpected(up.error());
  }
  return contender;
}

Result<void> Contender::start() {
  dataplane::EngineConfig config;
  config.kernels = config_.kernels;
  config.ports = devices_.ports(config_.input);
  config.pool = devices_.pool();
  config.clock = {nullptr, standing_clock};
  config.burst_max = config_.burst;
  config.worker_count = worker_count();
  if (config_.has_stage_clock) {
    config.probe = stage_clock_.probe();
  }
  auto engine = dataplane::Engine::create(config);
  if (!engine) {
    return tl::unexpected(engine.error());
  }
  engine_ = std::move(*engine);
  // The clock stands still, so all passes write to the set of one slot: room for all, at its normal load.
  replay_lines_ = onion::ReplaySet::lines_for(
      std::max(config_.replay_rate, config_.inserts_max / onion::kSlotSeconds + 1));
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

Result<void> Contender::new_replay_key(const Random& random) {
  return engine_->publish(traffic_.snapshot(++serial_, random), traffic_.peers());
}

void Contender::send_to(Sink sink) {
  dataplane::NextHop hop;
  hop.port_index = sink == Sink::count ? kCountPort : kCapturePort;
  hop.mac = traffic_.next_identity().mac;
  hop.source_address = traffic_.identity().addresses.front();
  engine_->publish_next_hops(dataplane::NextHopTable({}, hop));
}

Slice Contender::run_slice(std::size_t worker, std::size_t first, std::size_t packet_count) {
  Slice slice;
  std::size_t offered = 0;
  std::size_t empty_polls = 0;
  if (config_.has_stage_clock) {
    stage_clock_.start();
  }
  const std::uint64_t begin = dataplane::tsc_now();
  while (slice.packets < packet_count && empty_polls < kEmptyPollsMax) {
    if (offered == slice.packets) {
      offered += devices_.offer(config_.input, worker, first + offered,
                                std::min(config_.burst, packet_count - offered));
    }
    const std::size_t received = engine_->poll_once(worker);
    slice.packets += received;
    empty_polls += received == 0 ? 1 : 0;
  }
  slice.cycles = dataplane::tsc_now() - begin;
  return slice;
}

bool Contender::run_share(std::size_t worker, std::vector<Slice>& slices) {
  for (std::size_t done = 0; done < share();) {
    const std::size_t wanted = std::min(share() - done, config_.slice_packets);
    const Slice slice = run_slice(worker, worker * share() + done, wanted);
    if (slice.packets < wanted) {
      return false;
    }
    slices.push_back(slice);
    if (config_.has_stage_clock) {
      stage_slices_.push_back({stage_clock_.cycles(), slice.packets});
    }
    done += slice.packets;
  }
  return true;
}

bool Contender::run_all_shares(WorkerSlices& slices) {
  if (config_.cpus.empty()) {
    return run_share(0, slices[0]);
  }
  std::atomic<bool> is_whole = true;
  std::barrier at_once(static_cast<std::ptrdiff_t>(worker_count()));
  std::vector<std::thread> threads;
  for (std::size_t worker = 0; worker < worker_count(); ++worker) {
    threads.emplace_back([&, worker] {
      const dataplane::PacketThread registered(config_.cpus[worker]);
      at_once.arrive_and_wait();
      if (!run_share(worker, slices[worker])) {
        is_whole = false;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return is_whole;
}

// Setup packets wait inside the relay for others. What waits when the last packet has come is work of this pass.
std::uint64_t Contender::settle() {
  const std::uint64_t begin = dataplane::tsc_now();
  if (counters().parked == 0) {
    return 0;
  }
  const dataplane::ReceiveGate closed(devices_.ports(config_.input)[kInputPort].dpdk_port,
                                      worker_count());
  for (std::size_t i = 0; i < kSettlePollsMax && counters().parked != 0; ++i) {
    for (std::size_t worker = 0; worker < worker_count(); ++worker) {
      engine_->poll_once(worker);
    }
  }
  return dataplane::tsc_now() - begin;
}

Result<void> Contender::run_pass(WorkerSlices& slices) {
  slices.resize(worker_count());
  const std::uint64_t before = devices_.sink_count();
  if (!run_all_shares(slices)) {
    return fail(Errc::unavailable, "the device brings no more packets");
  }
  slices.front().back().cycles += settle();
  sink_count_ += devices_.sink_count() - before;
  return {};
}

Result<std::size_t> Contender::run_pass_to(NextRelay& next) {
  send_to(Sink::capture);
  std::size_t accepted = 0;
  for (std::size_t worker = 0; worker < worker_count(); ++worker) {
    for (std::size_t done = 0; done < share(); done += config_.burst) {
      if (run_slice(worker, worker * share() + done, config_.burst).packets < config_.burst) {
        return fail(Errc::unavailable, "the device brings no more packets");
      }
      accepted += devices_.judge_captured(next, worker);
    }
    settle();
    accepted += devices_.judge_captured(next, worker);
  }
  send_to(Sink::count);
  return accepted;
}

control_port::Counters Contender::counters() const {
  return engine_->counters();
}

std::uint64_t Contender::replay_places_taken() const {
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
