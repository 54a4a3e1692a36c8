// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/forward_measurement.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "dataplane/engine/device_io.hpp"
#include "tools/bench/bench_devices.hpp"
#include "tools/bench/checksum_cost.hpp"
#include "tools/bench/contender.hpp"
#include "tools/bench/cpu_placement.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/memory_file.hpp"
#include "tools/bench/next_relay.hpp"
#include "tools/bench/relay_books.hpp"
#include "tools/bench/statistics.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {
namespace {

// Parts of a millisecond: where cores are shared, most of them are not interrupted.
constexpr std::size_t kSlicePackets = 256;
constexpr std::size_t kSetupSlicePackets = 32;

// Whole bursts, so that slices and passes end where they should.
std::size_t slice_packets(onion::PacketClass packet_class, std::size_t burst) {
  const std::size_t wanted =
      packet_class == onion::PacketClass::s0 ? kSetupSlicePackets : kSlicePackets;
  return (wanted + burst - 1) / burst * burst;
}

/// The median of the slices: on a shared machine the scheduler takes the core away now and then, and a slice that
/// it hit is not the relay's cost. The mean, interruptions and all, is reported beside it.
double median_cycles(const std::vector<Slice>& slices) {
  std::vector<double> cycles;
  cycles.reserve(slices.size());
  for (const Slice& slice : slices) {
    cycles.push_back(static_cast<double>(slice.cycles) / static_cast<double>(slice.packets));
  }
  return median(std::move(cycles));
}

/// Of all workers together: their rates add up.
double cycles_of_all(const WorkerSlices& workers) {
  double packets_per_cycle = 0;
  for (const std::vector<Slice>& slices : workers) {
    packets_per_cycle += 1 / median_cycles(slices);
  }
  return 1 / packets_per_cycle;
}

std::vector<double> stage_medians(const std::vector<StageSlice>& slices) {
  std::vector<double> medians;
  for (std::size_t stage = 0; stage < onion::kStageCount; ++stage) {
    std::vector<double> cycles;
    for (const StageSlice& slice : slices) {
      cycles.push_back(static_cast<double>(slice.cycles[stage]) /
                       static_cast<double>(slice.packets));
    }
    medians.push_back(median(std::move(cycles)));
  }
  return medians;
}

std::int64_t preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

dataplane::FrameAddresses sent_addresses(const Traffic& traffic) {
  const dataplane::PortIdentity own = traffic.identity();
  const dataplane::PortIdentity next = traffic.next_identity();
  return {own.mac,
          next.mac,
          {own.addresses.front(), own.onion_port},
          {next.addresses.front(), next.onion_port}};
}

/// A relay and what it has done so far.
struct Turn {
  std::unique_ptr<Contender> contender;
  ContenderResult result;
  RelayBooks begin;
  WorkerSlices repeat;  ///< the one in work
  double cycles = 0;
  double packets = 0;

  void end_repeat() {
    result.cycles.push_back(cycles_of_all(repeat));
    for (const std::vector<Slice>& slices : repeat) {
      for (const Slice& slice : slices) {
        cycles += static_cast<double>(slice.cycles);
        packets += static_cast<double>(slice.packets);
      }
    }
    repeat.clear();
  }
};

class Measurement {
 public:
  Measurement(const ForwardOptions& options, const crypto_accel::KernelSet& kernels)
      : options_(options),
        kernels_(kernels),
        cpus_(own_cpus()),
        random_(worker_random_.source()),
        traffic_({options.packet_class, options.sessions, options.is_v6}, random_),
        packets_(loop_packets(options, traffic_.datagram_bytes(), available_memory_bytes())),
        checksum_(sent_addresses(traffic_), traffic_.datagram_bytes(), random_) {}

  Result<ForwardResult> run();

 private:
  Result<void> bring_up();
  Result<void> add(ContenderConfig config);
  Result<void> add_all();
  [[nodiscard]] std::vector<int> cpus_for(std::size_t workers) const;
  [[nodiscard]] std::size_t input_of(std::size_t bad_tags) const;
  Result<void> check_what_comes_out(Turn& turn);
  Result<void> pass(Turn& turn);
  Result<void> repeat(std::size_t number);
  void measure_io();
  void judge(Turn& turn) const;

  ForwardOptions options_;
  crypto_accel::KernelSet kernels_;
  std::vector<int> cpus_;
  WorkerRandom worker_random_;
  Random random_;
  Traffic traffic_;
  std::size_t packets_;
  std::unique_ptr<BenchDevices> devices_;
  std::vector<Turn> turns_;
  std::vector<double> io_cycles_;
  ChecksumCost checksum_;
  std::vector<double> checksum_cycles_;
};

Result<void> Measurement::bring_up() {
  const std::vector<std::size_t> inputs = bad_tag_inputs(options_);
  std::vector<MemoryFile> files;
  std::vector<FrameFile> frames;
  for (const std::size_t bad_tags : inputs) {
    auto file = MemoryFile::create("allium-bench-replay");
    if (!file) {
      return tl::unexpected(file.error());
    }
    frames.push_back({file->path(), static_cast<unsigned>(bad_tags)});
    files.push_back(std::move(*file));
  }
  std::fprintf(stderr, "making %zu packets (%.0f MB)\n", packets_,
               static_cast<double>(packets_ * traffic_.datagram_bytes()) / 1e6);
  if (auto written = traffic_.write_frames(frames, packets_, random_); !written) {
    return written;
  }
  BenchDevicesConfig config;
  config.backend = options_.backend;
  config.packet_count = packets_;
  config.worker_count = options_.workers;
  for (const std::size_t workers : options_.compare_workers) {
    config.worker_count = std::max(config.worker_count, workers);
  }
  if (config.worker_count > cpus_.size()) {
    return fail(Errc::unavailable, "there are " + std::to_string(cpus_.size()) +
                                       " CPUs for this process; use no more --workers");
  }
  config.identity = traffic_.identity();
  config.pages = options_.pages;
  for (const FrameFile& file : frames) {
    config.replay_paths.push_back(file.path);
  }
  auto devices = BenchDevices::create(config);
  if (!devices) {
    return tl::unexpected(devices.error());
  }
  devices_ = std::move(*devices);  // they hold the packets now
  return {};
}

std::vector<int> Measurement::cpus_for(std::size_t workers) const {
  return workers == 1 ? std::vector<int>()
                      : std::vector<int>(cpus_.begin(),
                                         cpus_.begin() + static_cast<std::ptrdiff_t>(workers));
}

std::size_t Measurement::input_of(std::size_t bad_tags) const {
  const std::vector<std::size_t> inputs = bad_tag_inputs(options_);
  return static_cast<std::size_t>(std::find(inputs.begin(), inputs.end(), bad_tags) -
                                  inputs.begin());
}

Result<void> Measurement::add(ContenderConfig config) {
  config.packet_count = packets_;
  config.slice_packets = slice_packets(options_.packet_class, config.burst);
  config.replay_rate = static_cast<std::uint64_t>(options_.replay_mpps * 1e6);
  config.inserts_max = packets_ * (options_.passes * options_.repeats + 1);
  auto contender = Contender::create(config, *devices_, traffic_);
  if (!contender) {
    return tl::unexpected(contender.error());
  }
  Turn& turn = turns_.emplace_back();
  turn.contender = std::move(*contender);
  turn.result.kernels = kernel_names(config.kernels);
  turn.result.burst = config.burst;
  turn.result.bad_tag_percent = config.bad_tag_percent;
  turn.result.workers = turn.contender->worker_count();
  return {};
}

// The relay that was asked for, then those that differ from it in one thing.
Result<void> Measurement::add_all() {
  ContenderConfig first;
  first.kernels = kernels_;
  first.burst = options_.burst;
  first.bad_tag_percent = static_cast<unsigned>(options_.bad_tags);
  first.cpus = cpus_for(options_.workers);
  std::vector<ContenderConfig> all = {first};
  for (const std::string& wish : options_.compare_kernels) {
    auto kernels = crypto_accel::select_kernels(wish);
    if (!kernels) {
      return tl::unexpected(kernels.error());
    }
    if (auto tested = crypto_accel::self_test(*kernels); !tested) {
      return tested;
    }
    all.push_back(first);
    all.back().kernels = *kernels;
  }
  for (const std::size_t burst : options_.compare_bursts) {
    all.push_back(first);
    all.back().burst = burst;
  }
  for (const std::size_t bad_tags : options_.compare_bad_tags) {
    all.push_back(first);
    all.back().bad_tag_percent = static_cast<unsigned>(bad_tags);
    all.back().input = input_of(bad_tags);
  }
  for (const std::size_t workers : options_.compare_workers) {
    all.push_back(first);
    all.back().cpus = cpus_for(workers);
  }
  if (options_.stages) {
    all.push_back(first);
    all.back().has_stage_clock = true;
  }
  for (const ContenderConfig& config : all) {
    if (auto added = add(config); !added) {
      return added;
    }
  }
  return {};
}

Result<void> Measurement::check_what_comes_out(Turn& turn) {
  if (auto keyed = turn.contender->new_replay_key(random_); !keyed) {
    return keyed;
  }
  NextRelay next(traffic_, packets_);
  const auto accepted = turn.contender->run_pass_to(next);
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  turn.result.accepted = *accepted;
  std::fprintf(stderr, "the next relay accepts %zu of them (%s, burst %zu)\n", *accepted,
               turn.result.kernels.c_str(), turn.result.burst);
  return {};
}

Result<void> Measurement::pass(Turn& turn) {
  if (!options_.same_replay_key) {
    if (auto keyed = turn.contender->new_replay_key(random_); !keyed) {
      return keyed;
    }
  }
  return turn.contender->run_pass(turn.repeat);
}

void Measurement::measure_io() {
  const std::size_t slice = slice_packets(options_.packet_class, options_.burst);
  std::vector<Slice> slices;
  for (std::size_t done = 0; done < packets_;) {
    const std::size_t count = std::min(packets_ - done, slice);
    slices.push_back({devices_->forward_untouched(0, options_.burst, done, count), count});
    done += count;
  }
  io_cycles_.push_back(median_cycles(slices));
}

// Passes take turns, and who begins changes with the repeat: what a pass leaves in the caches helps or hurts nobody
// more than another.
Result<void> Measurement::repeat(std::size_t number) {
  for (std::size_t i = 0; i < options_.passes; ++i) {
    for (std::size_t j = 0; j < turns_.size(); ++j) {
      if (auto passed = pass(turns_[(number + i + j) % turns_.size()]); !passed) {
        return passed;
      }
    }
  }
  measure_io();
  checksum_cycles_.push_back(checksum_.cycles());
  for (Turn& turn : turns_) {
    turn.end_repeat();
  }
  std::fprintf(stderr, "repeat %zu of %zu: %.0f cycles a packet, %.0f of them in and out\n",
               number + 1, options_.repeats, turns_.front().result.cycles.back(),
               io_cycles_.back());
  return {};
}

void Measurement::judge(Turn& turn) const {
  ContenderResult& result = turn.result;
  result.outcome = outcome_of(turn.begin, books_of(*turn.contender));
  result.cycles_mean = turn.cycles / turn.packets / static_cast<double>(result.workers);
  const auto percent = static_cast<unsigned>(result.bad_tag_percent);
  const std::uint64_t bad = bad_tag_count(packets_, percent);
  const std::uint64_t passes = options_.passes * options_.repeats;
  const std::uint64_t good = (packets_ - bad) * passes;
  boost::json::object drops;
  if (bad != 0) {
    drops[std::string(onion::verdict_name(onion::Verdict::ll_tag))] = bad * passes;
  }
  const Outcome& outcome = result.outcome;
  result.is_valid = outcome.received == packets_ * passes && outcome.forwarded == good &&
                    outcome.sink == good && outcome.written == good && outcome.drops == drops &&
                    result.accepted == packets_ - bad;
}

Result<ForwardResult> Measurement::run() {
  if (auto up = bring_up(); !up) {
    return tl::unexpected(up.error());
  }
  if (auto added = add_all(); !added) {
    return tl::unexpected(added.error());
  }
  stay_on_this_cpu();
  for (Turn& turn : turns_) {
    if (auto checked = check_what_comes_out(turn); !checked) {
      return tl::unexpected(checked.error());
    }
    turn.begin = books_of(*turn.contender);
  }
  const MachineTime begin_time = machine_time();
  const std::int64_t begin_preemptions = preemptions();
  for (std::size_t i = 0; i < options_.repeats; ++i) {
    if (auto repeated = repeat(i); !repeated) {
      return tl::unexpected(repeated.error());
    }
  }
  ForwardResult result;
  result.steal_percent = steal_percent(begin_time, machine_time());
  result.preemptions = preemptions() - begin_preemptions;
  result.options = options_;
  result.packets = packets_;
  result.datagram_bytes = traffic_.datagram_bytes();
  result.frame_bytes = traffic_.headers_bytes() + traffic_.datagram_bytes();
  result.slice_packets = slice_packets(options_.packet_class, options_.burst);
  result.io_cycles = io_cycles_;
  result.udp_checksum_cycles = checksum_cycles_;
  result.tsc_hz = dataplane::tsc_hz();
  result.uses_huge_pages = devices_->uses_huge_pages();
  result.replay_set_bytes = turns_.front().contender->replay_set_bytes();
  result.replay_set_huge_bytes = turns_.front().contender->replay_set_huge_bytes();
  for (Turn& turn : turns_) {
    judge(turn);
    result.contenders.push_back(turn.result);
  }
  if (options_.stages) {
    result.staged = std::move(result.contenders.back());
    result.contenders.pop_back();
    result.stage_cycles = stage_medians(turns_.back().contender->stage_slices());
  }
  return result;
}

}  // namespace

bool ForwardResult::is_valid() const noexcept {
  return std::all_of(contenders.begin(), contenders.end(),
                     [](const ContenderResult& one) { return one.is_valid; }) &&
         (!staged || staged->is_valid);
}

Result<ForwardResult> measure_forward(const ForwardOptions& options,
                                      const crypto_accel::KernelSet& kernels) {
  return Measurement(options, kernels).run();
}

}  // namespace allium::bench
