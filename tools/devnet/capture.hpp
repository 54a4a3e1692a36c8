// SPDX-License-Identifier: Apache-2.0
#pragma once

// Captures frames of an interface of this network namespace into a pcap file.
//
//   Errors     Errc::unavailable: no such interface, or not allowed.
//   Limits     both of CaptureLimits; it ends at whichever comes first, or at SIGINT.
//   Threads    one.

#include <cstdint>
#include <cstdio>
#include <string>

#include "crypto_accel/base/result.hpp"

namespace allium::devnet {

struct CaptureLimits {
  std::uint64_t packets_max = 100000;
  unsigned seconds_max = 60;
};

/// Takes `file` over and closes it. The answer is the number of packets written.
Result<std::uint64_t> capture(const std::string& interface_name, const CaptureLimits& limits,
                              std::FILE* file);

}  // namespace allium::devnet
