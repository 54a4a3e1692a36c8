// SPDX-License-Identifier: Apache-2.0
#pragma once

// The service nodes of a running devnet as a benchmark needs them: where they listen, which swarm they are in, which process
// they are.
//
//   Ownership  values.
//   Errors     Errc::not_found: no service nodes, too few, no such node; Errc::unavailable: one that does not run;
//              Errc::malformed: status and network file do not fit together.
//   Threads    reentrant.

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "control/network/service_nodes.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "storage/account.hpp"

namespace allium::bench {

struct RunningNode {
  std::string name;  ///< "n1"
  pid_t pid = 0;     ///< its service's process; not positive: it does not run
  control::ServiceNode node;
};

struct ServiceNetwork {
  std::vector<RunningNode> nodes;  ///< in the order of the devnet
  control::SwarmMap swarms;
};

/// `status` is what `allium devnet status --json` says, `document` the devnet's network document.
[[nodiscard]] Result<ServiceNetwork> service_network(const boost::json::object& status,
                                                     const control::NetworkDocument& document);

/// The node that gets the requests (empty: the first one), then the other members of its swarm. All of them run.
[[nodiscard]] Result<std::vector<RunningNode>> swarm_around(const ServiceNetwork& network,
                                                            std::string_view entry);

/// The first `hop_count` nodes. All of them run.
[[nodiscard]] Result<std::vector<RunningNode>> path_through(const ServiceNetwork& network,
                                                            std::size_t hop_count);

/// Accounts of people (prefix 05) that belong to `swarm`, which must be one of `swarms`.
[[nodiscard]] std::vector<storage::Account> accounts_of(const control::SwarmMap& swarms,
                                                        control::SwarmId swarm, std::size_t count,
                                                        const Random& random);

}  // namespace allium::bench
