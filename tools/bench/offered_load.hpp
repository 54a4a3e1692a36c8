// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two ends of a measurement at a given rate: a thread in which one relay takes what comes, and a generator in the
// caller's thread that puts packets into its ring when each is due. A full ring loses the packet, as a NIC's does.
//
//   Units      packets a second; cycles are those of the time stamp counter.
//   Ownership  borrows devices and relay.
//   Errors     Errc::unavailable where the relay stops to take packets.
//   Threads    one that makes it and calls offer(); it starts one more.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/bench/bench_devices.hpp"
#include "tools/bench/contender.hpp"

namespace allium::bench {

/// More than any generator can.
inline constexpr double kFloodPps = 1e9;

/// Of the ring before the relay: as many as a NIC's queue has descriptors.
inline constexpr unsigned kRingFrames = 1023;

/// In the loop: its halves are longer than the ring.
inline constexpr std::size_t kOfferedPacketsMin = std::size_t{4} * (kRingFrames + 1);

struct OfferedPackets {
  std::uint64_t offered = 0;
  std::uint64_t accepted = 0;       ///< by the ring; the relay received them all
  std::uint64_t cycles = 0;         ///< from the first to the last
  std::uint64_t relay_cycles = 0;   ///< until the relay had them all
  std::uint64_t interruptions = 0;  ///< turns of the relay that took longer than any turn does
};

class OfferedLoad {
 public:
  /// The relay runs on `cpu` until this goes. Input 0 has `packet_count` packets, kOfferedPacketsMin at least.
  OfferedLoad(BenchDevices& devices, Contender& relay, std::size_t packet_count, int cpu);
  ~OfferedLoad();
  OfferedLoad(const OfferedLoad&) = delete;
  OfferedLoad& operator=(const OfferedLoad&) = delete;

  /// Packets at this rate for so many cycles. None comes twice under one replay key.
  Result<OfferedPackets> offer(double pps, std::uint64_t cycles, const Random& random);

 private:
  Result<void> begin_half(const Random& random);
  Result<void> wait_until_received(std::uint64_t count) const;
  void run_relay(int cpu);

  BenchDevices& devices_;
  Contender& relay_;
  std::size_t packet_count_;
  std::size_t position_ = 0;           ///< of the next packet in the loop
  std::uint64_t accepted_ = 0;         ///< by the ring, ever
  std::uint64_t accepted_before_ = 0;  ///< when the half of the loop before this one began
  std::uint64_t received_before_;      ///< by the relay, before this
  std::atomic<bool> is_ending_ = false;
  std::atomic<std::uint64_t> interruptions_ = 0;
  std::thread thread_;
};

}  // namespace allium::bench
