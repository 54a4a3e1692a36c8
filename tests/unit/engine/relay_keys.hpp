// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keys of test relays, the same whenever they are asked for, and the snapshots made of them.

#include <cstdint>
#include <utility>
#include <vector>

#include "dataplane/control_port/messages.hpp"
#include "dataplane/onion/relay_snapshot.hpp"

namespace allium::dataplane {

/// A relay as tests name it: by a number from 1.
struct RelayName {
  std::size_t number = 0;
  onion::Endpoint endpoint;

  [[nodiscard]] std::uint32_t id() const {
    return 0xA0000000U + static_cast<std::uint32_t>(number);
  }

  [[nodiscard]] crypto_accel::PublicKey onion_key(std::uint64_t hour) const;
};

struct SnapshotWish {
  std::uint64_t serial = 1;
  std::uint64_t start = 1;  ///< of the process, from 1: sequence range and salts
  std::uint64_t sequence_count = std::uint64_t{1} << 34;
  bool cookie_required = true;
  std::uint64_t now_ms = 0;
};

struct TestSnapshot {
  control_port::SnapshotBegin begin;
  std::vector<onion::PeerConfig> peers;
};

/// What `own` must know of the epochs around now; `all` may contain `own`.
[[nodiscard]] TestSnapshot make_snapshot(const RelayName& own, const std::vector<RelayName>& all,
                                         const SnapshotWish& wish);

}  // namespace allium::dataplane
