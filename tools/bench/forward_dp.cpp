// SPDX-License-Identifier: Apache-2.0

// allium-bench-dp: measures one whole relay on one core. The command runs it and reads its JSON; it is a program
// of its own because it links DPDK.
//
//   replay file --(pcap device)--> worker: parse, links, layers, replay set, counters --> null device
//
// The clock stands still in the middle of a slot. Every pass over the file gets a new replay key, so each packet
// is new to the replay set and is really written there. The null device counts on its own what came out.

#include <getopt.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/device_io.hpp"
#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "dataplane/onion/handle_table.hpp"
#include "dataplane/onion/replay_set.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/bench/environment.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {
namespace {

namespace json = boost::json;

constexpr std::size_t kLoopBytes = 36'000'000;  // beyond the caches of a core
constexpr std::size_t kLoopPacketsMax =
    65'536;  // the replay device keeps each in a buffer of its own
constexpr std::size_t kPacketBufferBytes = 3072;  // of the pool: 2048, head room and bookkeeping
constexpr std::size_t kSlicePackets = 1024;       // timed at once
constexpr std::uint64_t kReplayRate = 1'000'000;  // the set of a relay for 1 Mpps

struct Options {
  std::string packet_class = "d";
  std::size_t sessions = 4096;
  std::size_t packets = 0;  ///< 0: as many as make kLoopBytes
  std::size_t repeats = 7;
  std::size_t passes = 4;  ///< over the file, in one repeat
  std::size_t burst = 32;
  bool same_replay_key = false;
  dataplane::Pages pages = dataplane::Pages::automatic;
};

bool parse_size(const char* text, std::size_t low, std::size_t high, std::size_t& target) {
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, target);
  return error == std::errc() && rest == end && target >= low && target <= high;
}

bool read_options(int argc, char** argv, Options& options) {
  const option known[] = {{"class", required_argument, nullptr, 'c'},
                          {"sessions", required_argument, nullptr, 's'},
                          {"packets", required_argument, nullptr, 'p'},
                          {"repeats", required_argument, nullptr, 'r'},
                          {"passes", required_argument, nullptr, 'n'},
                          {"burst", required_argument, nullptr, 'b'},
                          {"same-replay-key", no_argument, nullptr, 'k'},
                          {"no-huge", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  int flag = 0;
  bool good = true;
  while (good && (flag = getopt_long(argc, argv, "", known, nullptr)) != -1) {
    switch (flag) {
      case 'c':
        options.packet_class = optarg;
        good = options.packet_class == "d" || options.packet_class == "v";
        break;
      case 's':
        good = parse_size(optarg, 1, 1'000'000, options.sessions);
        break;
      case 'p':
        good =
            parse_size(optarg, 32, kLoopPacketsMax, options.packets) && options.packets % 32 == 0;
        break;
      case 'r':
        good = parse_size(optarg, 1, 1000, options.repeats);
        break;
      case 'n':
        good = parse_size(optarg, 1, 1000, options.passes);
        break;
      case 'b':
        good = parse_size(optarg, 1, 32, options.burst) && 32 % options.burst == 0;
        break;
      case 'k':
        options.same_replay_key = true;
        break;
      case 'h':
        options.pages = dataplane::Pages::small;
        break;
      default:
        good = false;
    }
  }
  return good && optind == argc;
}

std::uint64_t standing_clock(void*) noexcept {
  return Traffic::kNowMs;
}

/// Anonymous memory for the sets, on huge pages where the kernel gives them.
class SetMemory {
 public:
  explicit SetMemory(std::size_t byte_count) : byte_count_(byte_count) {
    memory_ = mmap(nullptr, byte_count, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ != MAP_FAILED) {
      madvise(memory_, byte_count, MADV_HUGEPAGE);
    }
  }

  ~SetMemory() { munmap(memory_, byte_count_); }

  SetMemory(const SetMemory&) = delete;
  SetMemory& operator=(const SetMemory&) = delete;

  [[nodiscard]] std::span<std::byte> span() const {
    return memory_ == MAP_FAILED ? std::span<std::byte>()
                                 : std::span(static_cast<std::byte*>(memory_), byte_count_);
  }

 private:
  void* memory_;
  std::size_t byte_count_;
};

/// A file that is gone when the program is.
class TemporaryFile {
 public:
  TemporaryFile()
      : path_(access("/dev/shm", W_OK) == 0 ? "/dev/shm/allium-bench.XXXXXX"
                                            : "/tmp/allium-bench.XXXXXX") {
    descriptor_ = mkstemp(path_.data());
  }

  ~TemporaryFile() {
    unlink(path_.c_str());
    close(descriptor_);
  }

  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread_percent(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return 100.0 * (*high - *low) / median(values);
}

class Measurement {
 public:
  explicit Measurement(const Options& options)
      : options_(options),
        random_(system_random()),
        traffic_({options.packet_class == "v" ? onion::PacketClass::v : onion::PacketClass::d,
                  options.sessions, 0},
                 random_) {
    const std::size_t fit =
        std::min(kLoopPacketsMax, kLoopBytes / traffic_.datagram_bytes() / 32 * 32);
    packets_ = options.packets != 0 ? options.packets : fit;
  }

  Result<json::object> run();

 private:
  Result<void> bring_up();
  Result<void> new_keys();
  double one_repeat();
  double one_io_repeat();
  json::object report(const dataplane::DeviceCounts& out) const;

  Options options_;
  Random random_;
  Traffic traffic_;
  std::size_t packets_ = 0;
  TemporaryFile file_;
  crypto_accel::KernelSet kernels_{};
  dataplane::EalState eal_;
  dataplane::PacketPool pool_;
  std::unique_ptr<SetMemory> replay_;
  std::unique_ptr<SetMemory> handles_;
  std::unique_ptr<dataplane::Engine> engine_;
  std::uint16_t rx_port_ = 0;
  std::uint16_t tx_port_ = 0;
  std::uint64_t serial_ = 0;
  std::vector<double> relay_cycles_;
  std::vector<double> io_cycles_;
  MachineTime begin_;
  MachineTime end_;
  std::uint64_t sent_before_ = 0;
};

Result<void> Measurement::bring_up() {
  auto kernels = crypto_accel::kernels_from_environment();
  if (!kernels) {
    return tl::unexpected(kernels.error());
  }
  kernels_ = *kernels;
  traffic_ = Traffic({options_.packet_class == "v" ? onion::PacketClass::v : onion::PacketClass::d,
                      options_.sessions, packets_},
                     random_);
  std::fprintf(stderr, "making %zu packets of %zu sessions (%.0f MB)\n", packets_,
               options_.sessions, static_cast<double>(packets_ * traffic_.datagram_bytes()) / 1e6);
  if (auto written = traffic_.write_pcap(file_.path(), random_); !written) {
    return written;
  }
  const std::size_t buffers = packets_ + 4096;
  dataplane::EalConfig eal;
  eal.vdevs = {"net_pcap0,rx_pcap=" + file_.path() + ",infinite_rx=1", "net_null0,no-rx=1"};
  eal.pages = options_.pages;
  eal.memory_mb = static_cast<unsigned>(buffers * kPacketBufferBytes / 1'000'000 + 64);
  auto started = dataplane::start_eal(eal);
  if (!started) {
    return tl::unexpected(started.error());
  }
  eal_ = *started;
  auto pool = dataplane::make_packet_pool("allium_bench", static_cast<unsigned>(buffers));
  if (!pool) {
    return tl::unexpected(pool.error());
  }
  pool_ = std::move(*pool);
  dataplane::EngineConfig config;
  config.kernels = kernels_;
  config.pool = pool_.get();
  config.clock = {nullptr, standing_clock};
  config.burst_max = options_.burst;
  for (const std::string& vdev : eal.vdevs) {
    auto port = dataplane::find_device(vdev);
    if (!port) {
      return tl::unexpected(port.error());
    }
    auto mac = dataplane::start_device(*port, {1, 512}, pool_.get());
    if (!mac) {
      return tl::unexpected(mac.error());
    }
    config.ports.push_back({*port, traffic_.identity()});
  }
  rx_port_ = config.ports[0].dpdk_port;
  tx_port_ = config.ports[1].dpdk_port;
  auto engine = dataplane::Engine::create(config);
  if (!engine) {
    return tl::unexpected(engine.error());
  }
  engine_ = std::move(*engine);
  dataplane::NextHop hop;
  hop.port_index = 1;
  hop.mac = {2, 0, 0, 0, 0, 3};
  hop.source_address = traffic_.identity().addresses.front();
  engine_->publish_next_hops(dataplane::NextHopTable({}, hop));
  // Room for everything that all passes write, at the set's normal load.
  const std::uint64_t written = packets_ * (options_.passes * options_.repeats + 2);
  control_port::Configure configure;
  configure.replay_lines =
      onion::ReplaySet::lines_for(std::max(kReplayRate, written / onion::kSlotSeconds + 1));
  configure.handles_max = 64;
  replay_ = std::make_unique<SetMemory>(onion::ReplaySet::bytes_needed(configure.replay_lines));
  handles_ = std::make_unique<SetMemory>(onion::HandleTable::bytes_needed({64, 0, 0}));
  auto configured = engine_->configure(configure, {replay_->span(), handles_->span()});
  if (!configured) {
    return tl::unexpected(configured.error());
  }
  return {};
}

Result<void> Measurement::new_keys() {
  return engine_->publish(traffic_.snapshot(++serial_, random_), traffic_.peers());
}

// Cycles a packet, the median of slices of kSlicePackets: on a shared machine the scheduler takes the core away
// now and then, and a slice that it hit is not the relay's cost. Making and publishing keys is not timed.
double Measurement::one_repeat() {
  std::vector<double> slices;
  for (std::size_t pass = 0; pass < options_.passes; ++pass) {
    if ((!options_.same_replay_key || serial_ == 0) && !new_keys()) {
      return 0;
    }
    for (std::size_t left = packets_; left > 0;) {
      const std::size_t slice = std::min(left, kSlicePackets);
      std::size_t received = 0;
      const std::uint64_t begin = dataplane::tsc_now();
      while (received < slice) {
        received += engine_->poll_once(0);
      }
      slices.push_back(static_cast<double>(dataplane::tsc_now() - begin) /
                       static_cast<double>(received));
      left -= std::min(left, received);
    }
  }
  return median(std::move(slices));
}

// The same for the loop without a relay.
double Measurement::one_io_repeat() {
  std::vector<double> slices;
  for (std::size_t done = 0; done < packets_; done += kSlicePackets) {
    const std::uint64_t cycles =
        dataplane::forward_untouched(rx_port_, tx_port_, options_.burst, kSlicePackets);
    slices.push_back(static_cast<double>(cycles) / static_cast<double>(kSlicePackets));
  }
  return median(std::move(slices));
}

json::object Measurement::report(const dataplane::DeviceCounts& out) const {
  const control_port::Counters counters = engine_->counters();
  const double tsc = static_cast<double>(dataplane::tsc_hz());
  const double cycles = median(relay_cycles_);
  const double pps = tsc / cycles;
  json::object drops;
  std::uint64_t dropped = 0;
  for (std::size_t v = onion::kFirstDrop; v < onion::kVerdictCount; ++v) {
    if (counters.verdicts[v] != 0) {
      drops[std::string(onion::verdict_name(static_cast<onion::Verdict>(v)))] =
          counters.verdicts[v];
      dropped += counters.verdicts[v];
    }
  }
  const std::uint64_t counted_by_device = out.sent - sent_before_;
  const bool is_valid = dropped == 0 && counters.received == counters.forwarded &&
                        counters.forwarded == counted_by_device;
  json::object environment_json = environment();
  environment_json["tsc_hz"] = dataplane::tsc_hz();
  environment_json["pages"] = eal_.uses_huge_pages ? "2 MiB" : "4 KiB";
  environment_json["kernels"] = "onion=" + std::string(kernels_.onion->name) +
                                ",x25519=" + std::string(kernels_.x25519->name);
  environment_json["steal_percent"] = steal_percent(begin_, end_);
  json::object result = {{"schema", "allium.bench.forward/1"},
                         {"class", options_.packet_class},
                         {"valid", is_valid},
                         {"received", counters.received},
                         {"forwarded", counters.forwarded},
                         {"counted_by_sink", counted_by_device},
                         {"drops", std::move(drops)},
                         {"datagram_bytes", traffic_.datagram_bytes()},
                         {"packets", packets_},
                         {"sessions", options_.sessions},
                         {"loop_bytes", packets_ * traffic_.datagram_bytes()},
                         {"burst", options_.burst},
                         {"repeats", options_.repeats},
                         {"passes", options_.passes},
                         {"environment", std::move(environment_json)}};
  if (is_valid) {
    result["mpps"] = pps / 1e6;
    result["gbit_s"] = pps * static_cast<double>(traffic_.datagram_bytes()) * 8 / 1e9;
    result["cycles_per_packet"] = cycles;
    result["cycles_per_packet_min"] = *std::min_element(relay_cycles_.begin(), relay_cycles_.end());
    result["cycles_per_packet_max"] = *std::max_element(relay_cycles_.begin(), relay_cycles_.end());
    result["spread_percent"] = spread_percent(relay_cycles_);
    result["io_cycles_per_packet"] = median(io_cycles_);
  }
  return result;
}

Result<json::object> Measurement::run() {
  if (auto up = bring_up(); !up) {
    return tl::unexpected(up.error());
  }
  begin_ = machine_time();
  // One pass of each warms caches, pages and branch predictors; it is counted as packets, not as time.
  static_cast<void>(dataplane::forward_untouched(rx_port_, tx_port_, options_.burst, packets_));
  std::uint64_t sent_by_io = dataplane::device_counts(tx_port_).sent;
  for (std::size_t repeat = 0; repeat < options_.repeats; ++repeat) {
    relay_cycles_.push_back(one_repeat());
    const std::uint64_t before = dataplane::device_counts(tx_port_).sent;
    io_cycles_.push_back(one_io_repeat());
    sent_by_io += dataplane::device_counts(tx_port_).sent - before;
    std::fprintf(stderr, "repeat %zu of %zu: %.0f cycles a packet, %.0f of them in and out\n",
                 repeat + 1, options_.repeats, relay_cycles_.back(), io_cycles_.back());
  }
  end_ = machine_time();
  sent_before_ = sent_by_io;
  return report(dataplane::device_counts(tx_port_));
}

int main_of(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, options)) {
    std::fprintf(stderr, "error: run it by: allium bench forward --help\n");
    return 2;
  }
  int code = 1;
  {
    Measurement measurement(options);
    const auto result = measurement.run();
    if (result) {
      std::printf("%s\n", json::serialize(*result).c_str());
      code = result->at("valid").as_bool() ? 0 : 1;
    } else {
      std::fprintf(stderr, "error: %s\n", result.error().text.c_str());
    }
  }
  return code;
}

}  // namespace
}  // namespace allium::bench

int main(int argc, char** argv) {
  return allium::bench::main_of(argc, argv);
}
