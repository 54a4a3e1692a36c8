// SPDX-License-Identifier: Apache-2.0
#pragma once

// One whole relay between devices, driven by the caller's thread with a clock that stands still:
//
//   replay file --(pcap device, endless)--> worker of the engine --> null device, which counts
//                                                              \--> or a capture file, to look at
//
//   Units      packets; cycles are those of the time stamp counter.
//   Ownership  owns devices, pool, engine and the memory of its sets; borrows the traffic and the files.
//   Errors     Errc of the engine and the EAL; Errc::full: start again with small pages (eal.hpp).
//   Threads    one, and one object a process (the EAL is brought up once).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/engine/eal.hpp"
#include "dataplane/engine/engine.hpp"
#include "tools/bench/set_memory.hpp"
#include "tools/bench/traffic.hpp"

namespace allium::bench {

struct RelayLoopConfig {
  crypto_accel::KernelSet kernels{};
  std::string replay_path;       ///< written already
  std::string capture_path;      ///< is overwritten
  std::size_t packet_count = 0;  ///< in the replay file
  std::size_t burst = 32;
  std::uint64_t inserts_max = 0;  ///< packets that the replay set shall hold, all of one slot
  dataplane::Pages pages = dataplane::Pages::automatic;
};

/// Where the relay's next hop is.
enum class Sink : std::uint8_t { count, capture };

/// A part of a pass that was timed at once.
struct Slice {
  std::uint64_t cycles = 0;
  std::size_t packets = 0;
};

class RelayLoop {
 public:
  static Result<std::unique_ptr<RelayLoop>> create(const RelayLoopConfig& config,
                                                   const Traffic& traffic);
  ~RelayLoop();
  RelayLoop(const RelayLoop&) = delete;
  RelayLoop& operator=(const RelayLoop&) = delete;

  /// A snapshot with a replay key under which no packet was seen.
  Result<void> new_replay_key(const Random& random);

  void send_to(Sink sink);

  /// Every packet of the file once through the relay, timed in slices that are added to `slices`. Fails with
  /// Errc::unavailable where the device stops to bring packets.
  Result<void> run_pass(std::vector<Slice>& slices);

  /// Every packet of the file once from the replay device to the counting one, without a relay.
  void run_pass_without_relay(std::vector<Slice>& slices);

  [[nodiscard]] control_port::Counters counters() const;

  /// Packets that the counting device took, by its own count.
  [[nodiscard]] std::uint64_t sink_count() const;

  /// Places that are taken in the replay set, counted in its memory.
  [[nodiscard]] std::uint64_t replay_places_taken() const;

  [[nodiscard]] std::size_t replay_set_bytes() const { return replay_->bytes().size(); }

  [[nodiscard]] std::size_t replay_set_huge_bytes() const { return replay_->huge_bytes(); }

  [[nodiscard]] bool uses_huge_pages() const { return eal_.uses_huge_pages; }

 private:
  RelayLoop(const RelayLoopConfig& config, const Traffic& traffic);

  Result<void> start_devices();
  Result<void> start_engine();

  /// At least `packet_count` packets through the relay; fewer where the device stopped to bring some.
  Slice run_slice(std::size_t packet_count);

  RelayLoopConfig config_;
  const Traffic& traffic_;
  dataplane::EalState eal_;
  dataplane::PacketPool pool_;
  std::vector<dataplane::EnginePort> ports_;
  std::size_t replay_lines_ = 0;
  std::unique_ptr<SetMemory> replay_;
  std::unique_ptr<SetMemory> handles_;
  std::unique_ptr<dataplane::Engine> engine_;
  std::uint64_t serial_ = 0;
};

}  // namespace allium::bench
