// SPDX-License-Identifier: Apache-2.0
#pragma once

// The highest rate at which one relay on one core forwards everything that a generator on another core offers.
//
//   Units      packets a second.
//   Errors     Errc::unavailable with less than two CPUs; those of the EAL and the engine; Errc::full: start again with small
//              pages (eal.hpp).
//   Threads    the main thread, once a process.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "crypto_accel/base/result.hpp"
#include "crypto_accel/kernel_registry.hpp"
#include "tools/bench/no_drop_options.hpp"
#include "tools/bench/no_drop_search.hpp"
#include "tools/bench/relay_books.hpp"

namespace allium::bench {

/// Of the packets of a trial, for the second figure.
inline constexpr double kPartialDrop = 0.005;

struct NoDropResult {
  NoDropOptions options;
  std::string kernels;
  std::size_t packets = 0;  ///< of the loop
  std::size_t datagram_bytes = 0;
  double forwarded_most_pps = 0;  ///< with more offered than the relay can take
  double generator_pps = 0;       ///< offered then
  FoundRate no_drop;
  FoundRate partial_drop;  ///< kPartialDrop of the packets lost, no more
  std::vector<Trial> trials;
  std::uint64_t accepted = 0;        ///< by the ring, over all trials
  Outcome outcome;                   ///< of those
  std::size_t accepted_by_next = 0;  ///< by the next relay, of one pass before the trials
  bool uses_huge_pages = false;
  std::uint64_t tsc_hz = 0;
  double steal_percent = 0;

  /// All that the ring took was received, was new, was forwarded, and was counted by the null device.
  [[nodiscard]] bool is_valid() const noexcept;
};

[[nodiscard]] Result<NoDropResult> measure_no_drop(const NoDropOptions& options,
                                                   const crypto_accel::KernelSet& kernels);

[[nodiscard]] boost::json::object no_drop_json(const NoDropResult& result);

}  // namespace allium::bench
