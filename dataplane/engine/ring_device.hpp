// SPDX-License-Identifier: Apache-2.0
#pragma once

// A device whose other end is this process: frames go in and come out as bytes, over the rings of DPDK's
// net_ring. Several relays in one process are joined by such devices; nothing is lost, nothing waits, and
// nobody else's packets come along.
//
//   Ownership  owns the device and its rings; borrows the packet pool. The engine that uses the device
//              goes first.
//   Errors     Errc::unavailable where the EAL has no more room.
//   Threads    of one queue: put by one thread, take by one thread, the worker by a third.
//   Limits     `frames_max` frames a queue and direction; put says false beyond, and the engine's
//              sends fail.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/result.hpp"

struct rte_mempool;

namespace allium::dataplane {

struct RingDeviceConfig {
  std::string name;  ///< unique in the process, at most 20 letters
  std::uint16_t queue_count = 1;
  unsigned frames_max = 511;
};

class RingDevice {
 public:
  static constexpr std::uint16_t kQueuesMax = 16;

  /// Makes and starts the device. Fails with Errc::out_of_range, Errc::unavailable.
  static Result<std::unique_ptr<RingDevice>> create(const RingDeviceConfig& config,
                                                    rte_mempool* pool);
  ~RingDevice();
  RingDevice(const RingDevice&) = delete;
  RingDevice& operator=(const RingDevice&) = delete;

  [[nodiscard]] std::uint16_t dpdk_port() const noexcept;

  /// A frame for queue `queue` of the engine. False: the ring or the pool is full, or the frame longer
  /// than a packet holds.
  [[nodiscard]] bool put(std::size_t queue, Bytes frame) noexcept;

  /// The oldest frame that the engine sent on `queue`, if there is one.
  [[nodiscard]] std::optional<std::vector<std::uint8_t>> take(std::size_t queue);

 private:
  struct State;

  explicit RingDevice(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace allium::dataplane
