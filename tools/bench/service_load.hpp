// SPDX-License-Identifier: Apache-2.0
#pragma once

// A load of HTTPS requests on one service node: always so many in flight, each on a kept connection of its own. Connections are made
// and the nodes warmed up before the window that is measured; requests are made before that, and answers looked at after it.
//
//   Units      milliseconds, seconds, microseconds of CPU; as the names say.
//   Ownership  borrows requests for the time of the call.
//   Errors     of the run: Errc::not_found, a process that ended; Errc::internal. What a node answers wrongly is no error of the
//              run but counted in it.
//   Threads    one.
//   Limits     kRequestTimeout a request; after kFailuresMax failures no more requests are sent.

#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/https/https_client.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/bench/service_network.hpp"

namespace allium::bench {

inline constexpr std::chrono::seconds kRequestTimeout{20};
inline constexpr std::size_t kFailuresMax = 64;

struct LoadPlan {
  std::string target;              ///< "/storage_rpc/v1"
  std::vector<RunningNode> nodes;  ///< whose CPU is measured; the first gets the requests
  std::size_t in_flight = 1;

  /// The first `warm_up_count` are not in the window. More than `warm_up_count`, which is at least `in_flight`.
  std::vector<std::string> bodies;
  std::size_t warm_up_count = 1;

  /// What is wrong with the body that answered request `index` with status 200; empty: nothing.
  std::function<std::string(std::size_t index, std::string_view body)> check;
};

struct LoadResult {
  std::size_t in_flight = 0;
  std::size_t requests = 0;   ///< sent in the window
  std::size_t failures = 0;   ///< of all that were sent, warm-up included
  std::string first_failure;  ///< in words
  std::size_t connections =
      0;  ///< made in the window: more than 0 means that their cost is in the figures

  double window_s = 0;
  std::vector<double> latencies_ms;  ///< of the answers in the window that came
  std::vector<double> cpu_us;        ///< a request, by node
  double cpu_us_client = 0;          ///< a request, of this process
  double steal_percent = 0;          ///< of the machine, in the window

  /// All answers right, so that there are figures.
  [[nodiscard]] bool is_valid() const noexcept { return failures == 0 && requests > 0; }
};

[[nodiscard]] Result<LoadResult> run_load(const LoadPlan& plan);

/// How many requests come before the window: each connection is used twice, and a tenth of the window's number.
[[nodiscard]] std::size_t warm_up_count(std::size_t request_count, std::size_t in_flight) noexcept;

}  // namespace allium::bench
