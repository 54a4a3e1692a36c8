// SPDX-License-Identifier: Apache-2.0

// allium-bench-dp: measures one whole relay on one core. The command runs it and reads its JSON; it is a program
// of its own because it links DPDK.
//
//   1. packets are made and written to a file in memory;
//   2. one pass goes to a capture file, which the relay behind this one must accept whole (it warms up, too);
//   3. each repeat: some passes through the relay to a device that counts on its own, every pass under a new
//      replay key, so that no packet is a replay and each is really written to the set; then one pass without
//      any relay, which is what the devices cost;
//   4. books: received = forwarded = counted by the sink = written to the set, or there is no figure.

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/device_io.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/forward_options.hpp"
#include "tools/bench/memory_file.hpp"
#include "tools/bench/next_relay.hpp"
#include "tools/bench/relay_loop.hpp"
#include "tools/bench/statistics.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

enum Exit : int {
  kExitDone = 0,
  kExitNegative = 1,
  kExitUsage = 2,
  kExitRefused = 3,
  kExitUnreachable = 4
};

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

double mean_cycles(const std::vector<Slice>& slices) {
  double cycles = 0;
  double packets = 0;
  for (const Slice& slice : slices) {
    cycles += static_cast<double>(slice.cycles);
    packets += static_cast<double>(slice.packets);
  }
  return cycles / packets;
}

/// What was counted up to a moment.
struct Books {
  control_port::Counters relay;
  std::uint64_t sink = 0;
  std::uint64_t written = 0;
};

/// What became of the packets of the repeats: the difference of two books.
struct Outcome {
  std::uint64_t received = 0;
  std::uint64_t forwarded = 0;
  std::uint64_t sink = 0;
  std::uint64_t written = 0;
  json::object drops;
};

Outcome outcome_of(const Books& begin, const Books& end, std::uint64_t without_relay) {
  Outcome outcome;
  outcome.received = end.relay.received - begin.relay.received;
  outcome.forwarded = end.relay.forwarded - begin.relay.forwarded;
  outcome.sink = end.sink - begin.sink - without_relay;
  outcome.written = end.written - begin.written;
  for (std::size_t v = onion::kFirstDrop; v < onion::kVerdictCount; ++v) {
    const std::uint64_t count = end.relay.verdicts[v] - begin.relay.verdicts[v];
    if (count != 0) {
      outcome.drops[std::string(onion::verdict_name(static_cast<onion::Verdict>(v)))] = count;
    }
  }
  return outcome;
}

std::int64_t preemptions() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// One core from here on, the one where we are: a move in the middle costs its caches.
void stay_on_this_cpu() {
  const int cpu = sched_getcpu();
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
}

class Measurement {
 public:
  Measurement(const ForwardOptions& options, const crypto_accel::KernelSet& kernels)
      : options_(options),
        kernels_(kernels),
        random_(worker_random_.source()),
        traffic_({options.packet_class, options.sessions}, random_),
        packets_(loop_packets(options, traffic_.datagram_bytes(), available_memory_bytes())) {}

  Result<json::object> run();

 private:
  Result<std::unique_ptr<RelayLoop>> bring_up(const MemoryFile& replay, const MemoryFile& capture);
  Result<void> check_what_comes_out(RelayLoop& loop, MemoryFile& capture);
  Result<void> repeat(RelayLoop& loop);
  Result<void> pass(RelayLoop& loop, std::vector<Slice>& slices);
  [[nodiscard]] Books books(const RelayLoop& loop) const;
  [[nodiscard]] json::object report(const RelayLoop& loop, Outcome outcome) const;
  [[nodiscard]] json::object place(const RelayLoop& loop) const;
  void add_figures(json::object& result) const;

  ForwardOptions options_;
  crypto_accel::KernelSet kernels_;
  WorkerRandom worker_random_;
  Random random_;
  Traffic traffic_;
  std::size_t packets_;
  std::size_t accepted_ = 0;
  std::vector<Slice> all_slices_;
  std::vector<double> relay_cycles_;  ///< a repeat each
  std::vector<double> io_cycles_;
  double steal_percent_ = 0;
  std::int64_t preemptions_ = 0;
};

Result<std::unique_ptr<RelayLoop>> Measurement::bring_up(const MemoryFile& replay,
                                                         const MemoryFile& capture) {
  std::fprintf(stderr, "making %zu packets of %zu sessions (%.0f MB)\n", packets_,
               options_.sessions, static_cast<double>(packets_ * traffic_.datagram_bytes()) / 1e6);
  if (auto written = traffic_.write_frames(replay.path(), packets_, random_); !written) {
    return tl::unexpected(written.error());
  }
  RelayLoopConfig config;
  config.kernels = kernels_;
  config.replay_path = replay.path();
  config.capture_path = capture.path();
  config.packet_count = packets_;
  config.burst = options_.burst;
  config.inserts_max = packets_ * (options_.passes * options_.repeats + 1);
  config.pages = options_.pages;
  return RelayLoop::create(config, traffic_);
}

Result<void> Measurement::check_what_comes_out(RelayLoop& loop, MemoryFile& capture) {
  std::vector<Slice> untimed;
  if (auto keyed = loop.new_replay_key(random_); !keyed) {
    return keyed;
  }
  loop.send_to(Sink::capture);
  if (auto passed = loop.run_pass(untimed); !passed) {
    return passed;
  }
  loop.send_to(Sink::count);
  NextRelay next(traffic_, packets_);
  auto accepted = next.count_accepted(capture.path());
  if (!accepted) {
    return tl::unexpected(accepted.error());
  }
  capture.clear();
  accepted_ = *accepted;
  std::fprintf(stderr, "the next relay accepts %zu of them\n", accepted_);
  loop.run_pass_without_relay(untimed);
  return {};
}

Result<void> Measurement::pass(RelayLoop& loop, std::vector<Slice>& slices) {
  if (!options_.same_replay_key) {
    if (auto keyed = loop.new_replay_key(random_); !keyed) {
      return keyed;
    }
  }
  return loop.run_pass(slices);
}

Result<void> Measurement::repeat(RelayLoop& loop) {
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < options_.passes; ++i) {
    if (auto passed = pass(loop, slices); !passed) {
      return passed;
    }
  }
  std::vector<Slice> io_slices;
  loop.run_pass_without_relay(io_slices);
  relay_cycles_.push_back(median_cycles(slices));
  io_cycles_.push_back(median_cycles(io_slices));
  all_slices_.insert(all_slices_.end(), slices.begin(), slices.end());
  std::fprintf(stderr, "repeat %zu of %zu: %.0f cycles a packet, %.0f of them in and out\n",
               relay_cycles_.size(), options_.repeats, relay_cycles_.back(), io_cycles_.back());
  return {};
}

Books Measurement::books(const RelayLoop& loop) const {
  return {loop.counters(), loop.sink_count(), loop.replay_places_taken()};
}

Result<json::object> Measurement::run() {
  auto replay = MemoryFile::create("allium-bench-replay");
  auto capture = MemoryFile::create("allium-bench-capture");
  if (!replay || !capture) {
    return tl::unexpected(replay ? capture.error() : replay.error());
  }
  auto loop = bring_up(*replay, *capture);
  if (!loop) {
    return tl::unexpected(loop.error());
  }
  stay_on_this_cpu();
  if (auto checked = check_what_comes_out(**loop, *capture); !checked) {
    return tl::unexpected(checked.error());
  }
  const Books begin = books(**loop);
  const MachineTime begin_time = machine_time();
  const std::int64_t begin_preemptions = preemptions();
  for (std::size_t i = 0; i < options_.repeats; ++i) {
    if (auto repeated = repeat(**loop); !repeated) {
      return tl::unexpected(repeated.error());
    }
  }
  steal_percent_ = steal_percent(begin_time, machine_time());
  preemptions_ = preemptions() - begin_preemptions;
  return report(**loop, outcome_of(begin, books(**loop), packets_ * options_.repeats));
}

json::object Measurement::place(const RelayLoop& loop) const {
  json::object place = environment();
  place["tsc_hz"] = dataplane::tsc_hz();
  place["pages"] = loop.uses_huge_pages() ? kHugePages : "4 KiB";
  place["replay_set_huge_bytes"] = loop.replay_set_huge_bytes();
  place["kernels"] = "onion=" + std::string(kernels_.onion->name) +
                     ",x25519=" + std::string(kernels_.x25519->name);
  place["steal_percent"] = steal_percent_;
  place["spread_percent"] = spread_percent(relay_cycles_);
  place["preemptions"] = preemptions_;
  mark_comparative(place);
  return place;
}

void Measurement::add_figures(json::object& result) const {
  const double cycles = median(relay_cycles_);
  const double pps = static_cast<double>(dataplane::tsc_hz()) / cycles;
  const auto [low, high] = std::minmax_element(relay_cycles_.begin(), relay_cycles_.end());
  result["mpps"] = pps / 1e6;
  result["gbit_s"] = pps * static_cast<double>(traffic_.datagram_bytes()) * 8 / 1e9;
  result["cycles_per_packet"] = cycles;
  result["cycles_per_packet_min"] = *low;
  result["cycles_per_packet_max"] = *high;
  result["cycles_per_packet_mean"] = mean_cycles(all_slices_);
  result["spread_percent"] = spread_percent(relay_cycles_);
  result["io_cycles_per_packet"] = median(io_cycles_);
}

json::object Measurement::report(const RelayLoop& loop, Outcome outcome) const {
  const std::uint64_t expected = packets_ * options_.passes * options_.repeats;
  const bool is_valid = outcome.drops.empty() && outcome.received == expected &&
                        outcome.forwarded == expected && outcome.sink == expected &&
                        outcome.written == expected && accepted_ == packets_;
  json::object result = {{"schema", "allium.bench.forward/1"},
                         {"class", options_.packet_class == onion::PacketClass::v ? "v" : "d"},
                         {"valid", is_valid},
                         {"received", outcome.received},
                         {"forwarded", outcome.forwarded},
                         {"counted_by_sink", outcome.sink},
                         {"written_to_replay_set", outcome.written},
                         {"accepted_by_next_relay", accepted_},
                         {"drops", std::move(outcome.drops)},
                         {"datagram_bytes", traffic_.datagram_bytes()},
                         {"packets", packets_},
                         {"sessions", options_.sessions},
                         {"loop_bytes", packets_ * traffic_.datagram_bytes()},
                         {"replay_set_bytes", loop.replay_set_bytes()},
                         {"burst", options_.burst},
                         {"repeats", options_.repeats},
                         {"passes", options_.passes},
                         {"environment", place(loop)}};
  if (is_valid) {
    add_figures(result);
  }
  return result;
}

int complain(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.text.c_str());
  const bool is_missing = error.code == Errc::unavailable || error.code == Errc::not_found;
  return is_missing ? kExitUnreachable : kExitRefused;
}

// As allium-dp does: pages that were free when we looked went to somebody else.
void start_again_without_huge_pages(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string no_huge = "--no-huge";
  arguments.push_back(no_huge.data());
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
}

int run(int argc, char** argv) {
  const auto options = parse_forward_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "error: run it by: allium bench forward --help\n");
    return kExitUsage;
  }
  const auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return complain(kernels.error());
  }
  const auto result = Measurement(*options, *kernels).run();
  if (!result) {
    if (result.error().code == Errc::full && options->pages == dataplane::Pages::automatic) {
      start_again_without_huge_pages(argc, argv);
    }
    return complain(result.error());
  }
  std::printf("%s\n", json::serialize(*result).c_str());
  return result->at("valid").as_bool() ? kExitDone : kExitNegative;
}

}  // namespace
}  // namespace allium::bench

int main(int argc, char** argv) {
  return allium::bench::run(argc, argv);
}
