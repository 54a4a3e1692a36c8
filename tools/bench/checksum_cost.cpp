// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/checksum_cost.hpp"

#include <x86intrin.h>

#include <cstdint>
#include <vector>

#include "crypto_accel/onion_batch.hpp"
#include "tools/bench/statistics.hpp"

namespace allium::bench {
namespace {

constexpr std::size_t kTurns = 101;
constexpr std::size_t kBursts = 8;  // a turn

}  // namespace

ChecksumCost::ChecksumCost(const dataplane::FrameAddresses& addresses, std::size_t datagram_bytes,
                           const Random& random)
    : addresses_(addresses),
      headers_bytes_(dataplane::headers_bytes(addresses.target.is_v4())),
      datagram_bytes_(datagram_bytes),
      frames_(crypto_accel::kLanesMax, headers_bytes_ + datagram_bytes, random) {}

double ChecksumCost::cycles() {
  const auto frames = frames_.burst(crypto_accel::kLanesMax);
  const auto write_all = [&](std::size_t datagram_bytes) {
    const std::uint64_t begin = __rdtsc();
    for (std::size_t i = 0; i < kBursts; ++i) {
      for (std::uint8_t* frame : frames) {
        dataplane::write_headers(addresses_, frame + headers_bytes_, datagram_bytes);
      }
    }
    return static_cast<double>(__rdtsc() - begin) / static_cast<double>(kBursts * frames.size());
  };
  std::vector<double> differences;
  for (std::size_t i = 0; i < kTurns; ++i) {
    const double whole = write_all(datagram_bytes_);
    differences.push_back(whole - write_all(0));
  }
  return median(differences);
}

}  // namespace allium::bench
