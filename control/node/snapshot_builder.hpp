// SPDX-License-Identifier: Apache-2.0
#pragma once

// From keys, ledger and network view to the snapshot of a dataplane (dataplane/control_port/messages.hpp).
//
//   Ownership  the answer owns copies of the keys and wipes them when it goes.
//   Errors     Errc::not_found (the view does not hold this node), Errc::full (more relays than fit).
//   Threads    one a ledger.
//   Cost       an X25519 for each relay and epoch.

#include <cstdint>
#include <vector>

#include "control/network/network_view.hpp"
#include "control/node/node_keys.hpp"
#include "control/node/start_ledger.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"

namespace allium::control {

struct SnapshotSettings {
  bool cookie_required = true;
  onion::SetupLimits setup_limits;
};

struct NodeSnapshot {
  control_port::SnapshotBegin begin;
  std::vector<onion::PeerConfig> peers;
};

/// The snapshot number `serial` at `now_ms`. A relay without an onion key for an epoch gets no link keys for
/// it. Requires that keys.advance(now_ms) was called.
[[nodiscard]] Result<NodeSnapshot> build_snapshot(const NodeKeys& keys, StartLedger& ledger,
                                                  const NetworkView& view,
                                                  const SnapshotSettings& settings,
                                                  std::uint64_t serial, std::uint64_t now_ms);

}  // namespace allium::control
