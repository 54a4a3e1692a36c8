// SPDX-License-Identifier: Apache-2.0
#pragma once

// What alliumd says of itself: `allium status`, the line that systemd shows, and what is wrong, in words for the operator.
//
//   Ownership  a NodeReport is a copy of everything at one moment.
//   Threads    any.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "control/network/ed25519.hpp"
#include "control/network/swarm_map.hpp"
#include "control/node/dataplane_link.hpp"
#include "control/service/node_service.hpp"
#include "storage/rocks_store.hpp"

namespace allium::control {

/// What the kernel knows of this machine's clock.
struct KernelClock {
  bool is_synchronised = false;
  double offset_ms = 0;
};

[[nodiscard]] KernelClock read_kernel_clock();

struct NodeReport {
  IdentityKey node{};
  std::uint64_t now_s = 0;  ///< when this is
  std::uint64_t started_s = 0;

  std::uint64_t height = 0;  ///< of the network document
  std::uint64_t valid_until_s = 0;
  std::string registry_problem;  ///< why the newest document is not taken; empty where it is
  std::string fetch_problem;

  NodeServiceStatus service;
  storage::StoreDisk disk;
  std::uint64_t omq_turned_away =
      0;  ///< connections between the last two beats, since there were too many
  std::size_t records_known = 0;

  KernelClock kernel_clock;
  std::optional<std::int64_t> clock_offset_ms;  ///< against other nodes; none: not known
  bool is_clock_good = true;

  std::optional<DataplaneState> dataplane;  ///< none: this node has none
};

/// Empty where the node is healthy. One line each, with what to do.
[[nodiscard]] boost::json::array problems_of(const NodeReport& report);

/// allium.status/1
[[nodiscard]] boost::json::object status_json(const NodeReport& report);

/// For sd_notify's STATUS.
[[nodiscard]] std::string status_line(const NodeReport& report);

/// What to do for a store that cannot write.
[[nodiscard]] std::string broken_advice(const storage::StoreDisk& disk);

/// Its id in hex, or "none".
[[nodiscard]] std::string swarm_text(SwarmId swarm);

}  // namespace allium::control
