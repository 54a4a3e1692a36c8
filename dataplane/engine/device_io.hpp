// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a measurement needs of devices, apart from any relay: their own counts, and a loop that moves packets
// and does nothing else.
//
//   Units      cycles are those of the time stamp counter.
//   Threads    one, and no engine running on these ports.

#include <cstddef>
#include <cstdint>

namespace allium::dataplane {

struct DeviceCounts {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

/// As the device counts, not the relay.
[[nodiscard]] DeviceCounts device_counts(std::uint16_t dpdk_port) noexcept;

[[nodiscard]] std::uint64_t tsc_hz() noexcept;
[[nodiscard]] std::uint64_t tsc_now() noexcept;

/// Receives and sends at least `packet_count` packets untouched; the cycles that it took.
[[nodiscard]] std::uint64_t forward_untouched(std::uint16_t rx_port, std::uint16_t tx_port,
                                              std::size_t burst, std::size_t packet_count) noexcept;

}  // namespace allium::dataplane
