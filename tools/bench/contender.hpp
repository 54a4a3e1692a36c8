// SPDX-License-Identifier: Apache-2.0
#pragma once

// One whole relay that is measured, alone or in turns with others on the same devices. Its clock stands still.
//
//   Units      packets; cycles are those of the time stamp counter.
//   Ownership  owns its engine and the memory of its sets; borrows devices and traffic.
//   Errors     Errc of the engine.
//   Threads    the caller's; run_pass() of several workers runs each in a thread of its own. While another thread calls
//              poll(), only new_replay_key() and counters() are for others.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/engine.hpp"
#include "tools/bench/bench_devices.hpp"
#include "tools/bench/set_memory.hpp"
#include "tools/bench/stage_clock.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {

struct ContenderConfig {
  crypto_accel::KernelSet kernels{};
  std::size_t burst = 32;
  std::size_t input = 0;          ///< of the devices
  unsigned bad_tag_percent = 0;   ///< that this input has
  std::size_t packet_count = 0;   ///< of an input, a multiple of burst * workers
  std::size_t slice_packets = 0;  ///< timed at once, a multiple of burst
  bool has_stage_clock = false;   ///< with one worker only
  std::vector<int> cpus;          ///< a worker each; empty: one worker, in the caller's thread
  std::uint64_t replay_rate = 0;  ///< packets a second that the replay set is made for
  std::uint64_t inserts_max = 0;  ///< packets that it has to hold in any case, all of one slot
};

/// Where the relay's next hop is.
enum class Sink : std::uint8_t { count, capture };

/// A part of a pass that was timed at once.
struct Slice {
  std::uint64_t cycles = 0;
  std::size_t packets = 0;
};

/// The same by stage.
struct StageSlice {
  StageCycles cycles{};
  std::size_t packets = 0;
};

/// Slices of each worker.
using WorkerSlices = std::vector<std::vector<Slice>>;

/// "onion=...,x25519=...".
[[nodiscard]] std::string kernel_names(const crypto_accel::KernelSet& kernels);

class Contender {
 public:
  static Result<std::unique_ptr<Contender>> create(const ContenderConfig& config,
                                                   BenchDevices& devices, const Traffic& traffic);
  ~Contender();
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  /// A snapshot with a replay key under which no packet was seen.
  Result<void> new_replay_key(const Random& random);

  /// Every packet of the input once through the relay to the counting device, each worker its share, timed in slices
  /// that are added to `slices`. Fails with Errc::unavailable where packets stop to come.
  Result<void> run_pass(WorkerSlices& slices);

  /// The same to the capturing device, untimed; how many of the packets the next relay accepts.
  Result<std::size_t> run_pass_to(NextRelay& next);

  /// One turn of a worker, to the counting device; how many packets it received. In a thread of the worker's own.
  std::size_t poll(std::size_t worker) noexcept { return engine_->poll_once(worker); }

  [[nodiscard]] control_port::Counters counters() const;

  /// Of all passes to the counting device, where there is a stage clock.
  [[nodiscard]] const std::vector<StageSlice>& stage_slices() const noexcept {
    return stage_slices_;
  }

  /// Packets that the counting device took from this relay, by the device's own count.
  [[nodiscard]] std::uint64_t sink_count() const noexcept { return sink_count_; }

  /// Places that are taken in the replay set, counted in its memory.
  [[nodiscard]] std::uint64_t replay_places_taken() const;

  [[nodiscard]] std::size_t replay_set_bytes() const { return replay_->bytes().size(); }

  [[nodiscard]] std::size_t replay_set_huge_bytes() const { return replay_->huge_bytes(); }

  [[nodiscard]] const ContenderConfig& config() const noexcept { return config_; }

  [[nodiscard]] std::size_t worker_count() const noexcept {
    return config_.cpus.empty() ? 1 : config_.cpus.size();
  }

 private:
  Contender(const ContenderConfig& config, BenchDevices& devices, const Traffic& traffic)
      : config_(config), devices_(devices), traffic_(traffic) {}

  Result<void> start();
  void send_to(Sink sink);

  [[nodiscard]] std::size_t share() const noexcept { return config_.packet_count / worker_count(); }

  bool run_share(std::size_t worker, std::vector<Slice>& slices);
  bool run_all_shares(WorkerSlices& slices);

  /// `packet_count` packets from `first` on through one worker; fewer where they stopped to come.
  Slice run_slice(std::size_t worker, std::size_t first, std::size_t packet_count);

  /// Until nothing waits inside the relay; the cycles that it took.
  std::uint64_t settle();

  ContenderConfig config_;
  BenchDevices& devices_;
  const Traffic& traffic_;
  std::size_t replay_lines_ = 0;
  std::unique_ptr<SetMemory> replay_;
  std::unique_ptr<SetMemory> handles_;
  StageClock stage_clock_;
  std::vector<StageSlice> stage_slices_;
  std::unique_ptr<dataplane::Engine> engine_;
  std::uint64_t serial_ = 0;
  std::uint64_t sink_count_ = 0;
};

}  // namespace allium::bench
