// SPDX-License-Identifier: Apache-2.0
#pragma once

// The two measurements of service nodes: stores of messages at one member of a swarm, and onion requests through a path. Both on a
// running devnet, whose network the process has entered.
//
//   Units      as the names say.
//   Ownership  values.
//   Errors     Errc::not_found, Errc::unavailable: nodes; Errc::out_of_range: options.
//   Threads    one.
//   Limits     kRequestBytesMax bytes of requests, which are all made before they are sent.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/bench/service_load.hpp"
#include "tools/bench/service_network.hpp"

namespace allium::bench {

inline constexpr std::size_t kRequestBytesMax = std::size_t{1} << 30;
/// Messages go to so many accounts, so that no account meets its own rate limit.
inline constexpr std::size_t kStoreAccounts = 64;

struct ServiceBenchOptions {
  std::size_t ops = 2000;                        ///< requests in each window
  std::vector<std::size_t> in_flight = {1, 64};  ///< a window each; none more than `ops`
};

struct StoreBenchOptions : ServiceBenchOptions {
  std::string entry;  ///< the node that gets the requests; empty: the first one
  std::size_t size = 1000;
};

struct OnionBenchOptions : ServiceBenchOptions {
  std::size_t hops =
      4;  ///< nodes of the path: the one that gets the requests, those between, the one that is meant
};

struct ServiceBench {
  std::vector<RunningNode>
      nodes;  ///< the one that gets the requests, then the other members or hops in order
  std::vector<LoadResult> loads;  ///< by in_flight; ends with the first that is not valid

  [[nodiscard]] bool is_valid() const noexcept { return !loads.empty() && loads.back().is_valid(); }
};

/// Is told what happens, line by line.
using Progress = std::function<void(const std::string&)>;

[[nodiscard]] Result<ServiceBench> bench_store(const ServiceNetwork& network,
                                               const StoreBenchOptions& options,
                                               const Random& random, const Progress& progress);

[[nodiscard]] Result<ServiceBench> bench_onion(const ServiceNetwork& network,
                                               const OnionBenchOptions& options,
                                               const Random& random, const Progress& progress);

/// CPU a request at the nodes [first, end) of a load, in the mean. None: there are none.
[[nodiscard]] std::optional<double> mean_cpu_us(const LoadResult& load, std::size_t first,
                                                std::size_t end);

}  // namespace allium::bench
