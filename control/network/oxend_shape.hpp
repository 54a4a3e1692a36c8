// SPDX-License-Identifier: Apache-2.0
#pragma once

// The list of service nodes in the shape in which oxend's RPC tells it (get_service_nodes, get_n_service_nodes): what
// Session's clients read to find nodes.
//
//   Ownership  values.
//   Threads    reentrant.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "control/network/service_nodes.hpp"
#include "crypto_accel/base/random.hpp"

namespace allium::control {

/// What the chain would add to the list.
struct ChainState {
  std::uint64_t height = 0;
  std::array<int, 2> hardfork{};
  std::array<int, 3> storage_version{};  ///< what each node is said to run
};

/// The `result`. `params` may have
///   fields                an object of booleans or a list of names; absent or empty: all
///   service_node_pubkeys  a list of legacy keys in hex; absent or empty: all nodes. What is no key of a node names none.
///   active_only           a boolean
///   limit                 so many of them, chosen by chance and in an order by chance; negative: all, in such an order
///   poll_block_hash       the hash of the list that the asker has: if it is this one, that alone is said
/// What else it has, or of another type, is left aside, as oxend does.
[[nodiscard]] boost::json::object service_nodes_result(const ServiceNodes& nodes,
                                                       const ChainState& chain,
                                                       const boost::json::object& params,
                                                       const Random& random);

/// The answer to a JSON-RPC 2.0 request, as oxend's /json_rpc gives it: get_service_nodes and get_n_service_nodes. Every text has
/// one; errors have the numbers of the JSON-RPC specification.
[[nodiscard]] std::string json_rpc_answer(std::string_view request, const ServiceNodes& nodes,
                                          const ChainState& chain, const Random& random);

}  // namespace allium::control
