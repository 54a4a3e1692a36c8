// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/no_drop_measurement.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <utility>

#include "dataplane/engine/device_io.hpp"
#include "tools/bench/bench_devices.hpp"
#include "tools/bench/contender.hpp"
#include "tools/bench/cpu_placement.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/memory_file.hpp"
#include "tools/bench/next_relay.hpp"
#include "tools/bench/offered_load.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {
namespace {

// A rate above what came out of a flood may still pass: lost packets cost the relay memory bandwidth.
constexpr double kMostOverFlood = 1.2;
// One core forwards less; the replay set has room for so much.
constexpr double kForwardedMostPps = 10e6;

// In whole bursts.
std::size_t loop_of(const ForwardOptions& traffic, std::size_t datagram_bytes) {
  const std::size_t packets = loop_packets(traffic, datagram_bytes, available_memory_bytes());
  const std::size_t least =
      (kOfferedPacketsMin + traffic.burst - 1) / traffic.burst * traffic.burst;
  return std::max(packets, least);
}

class Measurement {
 public:
  Measurement(const NoDropOptions& options, const crypto_accel::KernelSet& kernels)
      : options_(options),
        kernels_(kernels),
        random_(worker_random_.source()),
        traffic_({options.traffic.packet_class, options.traffic.sessions, options.traffic.is_v6},
                 random_),
        packets_(loop_of(options.traffic, traffic_.datagram_bytes())) {}

  Result<NoDropResult> run();

 private:
  Result<void> bring_up();
  Result<std::unique_ptr<Contender>> new_relay();
  Result<void> check_what_comes_out();
  Result<OfferedPackets> offer(double pps);
  Result<Trial> trial(double pps);
  Result<void> search();

  NoDropOptions options_;
  crypto_accel::KernelSet kernels_;
  WorkerRandom worker_random_;
  Random random_;
  Traffic traffic_;
  std::size_t packets_;
  int relay_cpu_ = -1;
  std::unique_ptr<BenchDevices> devices_;
  NoDropResult result_;
};

Result<void> Measurement::bring_up() {
  const std::vector<int> cpus = own_cpus();
  if (cpus.size() < 2) {
    return fail(
        Errc::unavailable,
        "a rate takes two CPUs, one to offer packets and one for the relay; this process has "
        "one: measure with `allium bench forward`");
  }
  stay_on(cpus[0]);
  relay_cpu_ = cpus[1];
  auto file = MemoryFile::create("allium-bench-offered");
  if (!file) {
    return tl::unexpected(file.error());
  }
  std::fprintf(stderr, "making %zu packets (%.0f MB)\n", packets_,
               static_cast<double>(packets_ * traffic_.datagram_bytes()) / 1e6);
  if (auto written =
          traffic_.write_frames(std::array{FrameFile{file->path(), 0}}, packets_, random_);
      !written) {
    return written;
  }
  BenchDevicesConfig config;
  config.backend = Backend::ring;
  config.packet_count = packets_;
  config.identity = traffic_.identity();
  config.pages = options_.traffic.pages;
  config.replay_paths = {file->path()};
  config.ring_frames = kRingFrames;
  auto devices = BenchDevices::create(config);
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  devices_ = std::move(*devices);
  return {};
}

// One a trial: its clock stands still, so that the packets stay valid, and a replay set is never emptied while a slot lasts.
Result<std::unique_ptr<Contender>> Measurement::new_relay() {
  ContenderConfig config;
  config.kernels = kernels_;
  config.burst = options_.traffic.burst;
  config.packet_count = packets_;
  config.slice_packets = options_.traffic.burst;
  config.replay_rate = static_cast<std::uint64_t>(options_.traffic.replay_mpps * 1e6);
  config.inserts_max =
      packets_ + static_cast<std::uint64_t>(kForwardedMostPps * options_.trial_seconds);
  return Contender::create(config, *devices_, traffic_);
}

Result<void> Measurement::check_what_comes_out() {
  auto relay = new_relay();
  if (!relay) {
    return tl::unexpected(relay.error());
  }
  if (auto keyed = (*relay)->new_replay_key(random_); !keyed) {
    return keyed;
  }
  NextRelay next(traffic_, packets_);
  const auto accepted = (*relay)->run_pass_to(next);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  result_.accepted_by_next = *accepted;
  std::fprintf(stderr, "the next relay accepts %zu of them\n", *accepted);
  return {};
}

Result<OfferedPackets> Measurement::offer(double pps) {
  auto relay = new_relay();
  if (!relay) {
    return tl::unexpected(relay.error());
  }
  const RelayBooks begin = books_of(**relay);
  const std::uint64_t sink_begin = devices_->sink_count();
  const auto cycles =
      static_cast<std::uint64_t>(options_.trial_seconds * static_cast<double>(dataplane::tsc_hz()));
  const auto offered =
      OfferedLoad(*devices_, **relay, packets_, relay_cpu_).offer(pps, cycles, random_);
  if (!offered) {
    return tl::unexpected(offered.error());
  }
  const Outcome outcome = outcome_of(begin, books_of(**relay));
  result_.accepted += offered->accepted;
  result_.outcome.received += outcome.received;
  result_.outcome.forwarded += outcome.forwarded;
  result_.outcome.written += outcome.written;
  result_.outcome.sink += devices_->sink_count() - sink_begin;
  for (const auto& [reason, count] : outcome.drops) {
    auto& sum = result_.outcome.drops[reason];
    sum = (sum.is_number() ? sum.to_number<std::uint64_t>() : 0) + count.to_number<std::uint64_t>();
  }
  return offered;
}

Result<Trial> Measurement::trial(double pps) {
  const auto offered = offer(pps);
  if (!offered) {
    return tl::unexpected(offered.error());
  }
  Trial trial;
  trial.wanted_pps = pps;
  trial.offered_pps = static_cast<double>(offered->offered) *
                      static_cast<double>(dataplane::tsc_hz()) /
                      static_cast<double>(offered->cycles);
  trial.offered = offered->offered;
  trial.lost = offered->offered - offered->accepted;
  trial.interruptions = offered->interruptions;
  std::fprintf(stderr, "%.3f Mpps for %g s: %.3f Mpps offered, %.4f %% lost, %lu interruptions\n",
               pps / 1e6, options_.trial_seconds, trial.offered_pps / 1e6, trial.loss() * 100,
               trial.interruptions);
  return trial;
}

Result<void> Measurement::search() {
  const auto flood = offer(kFloodPps);
  if (!flood) {
    return tl::unexpected(flood.error());
  }
  const auto tsc_hz = static_cast<double>(dataplane::tsc_hz());
  result_.generator_pps =
      static_cast<double>(flood->offered) * tsc_hz / static_cast<double>(flood->cycles);
  result_.forwarded_most_pps =
      static_cast<double>(flood->accepted) * tsc_hz / static_cast<double>(flood->relay_cycles);
  std::fprintf(stderr, "flooded with %.3f Mpps it forwards %.3f Mpps\n",
               result_.generator_pps / 1e6, result_.forwarded_most_pps / 1e6);
  SearchLimits limits;
  limits.most_pps = result_.forwarded_most_pps * kMostOverFlood;
  limits.step_pps = result_.forwarded_most_pps * options_.step_percent / 100;
  const RunTrial run = [this](double pps) { return trial(pps); };
  const auto none = find_rate(limits, run, result_.trials);
  if (!none) {
    return tl::unexpected(none.error());
  }
  result_.no_drop = *none;
  limits.loss_max = kPartialDrop;
  const auto some = find_rate(limits, run, result_.trials);
  if (!some) {
    return tl::unexpected(some.error());
  }
  result_.partial_drop = *some;
  return {};
}

Result<NoDropResult> Measurement::run() {
  if (auto up = bring_up(); !up) {
    return tl::unexpected(up.error());
  }
  if (auto checked = check_what_comes_out(); !checked) {
    return tl::unexpected(checked.error());
  }
  const MachineTime begin_time = machine_time();
  if (auto searched = search(); !searched) {
    return tl::unexpected(searched.error());
  }
  result_.steal_percent = steal_percent(begin_time, machine_time());
  result_.options = options_;
  result_.kernels = kernel_names(kernels_);
  result_.packets = packets_;
  result_.datagram_bytes = traffic_.datagram_bytes();
  result_.uses_huge_pages = devices_->uses_huge_pages();
  result_.tsc_hz = dataplane::tsc_hz();
  return std::move(result_);
}

}  // namespace

bool NoDropResult::is_valid() const noexcept {
  return outcome.received == accepted && outcome.forwarded == accepted &&
         outcome.sink == accepted && outcome.written == accepted && outcome.drops.empty() &&
         accepted_by_next == packets;
}

Result<NoDropResult> measure_no_drop(const NoDropOptions& options,
                                     const crypto_accel::KernelSet& kernels) {
  return Measurement(options, kernels).run();
}

}  // namespace allium::bench
