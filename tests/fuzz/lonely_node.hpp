// SPDX-License-Identifier: Apache-2.0
#pragma once

// A service node that is its whole network, with a store in memory: what fuzzers of requests talk to.

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "control/service/storage_rpc.hpp"
#include "crypto_accel/base/random.hpp"
#include "storage/memory_store.hpp"

namespace allium::control {

inline constexpr std::uint64_t kNowMs = 1'800'000'000'000;

class Alone final : public SwarmMembers {
  [[nodiscard]] std::vector<NodeKey> others() const override { return {}; }

  std::function<void(bool)> forward(SwarmCommand, std::function<void(MemberReply)>,
                                    std::function<void(bool)>) override {
    return [](bool) {};
  }

  void took_alone(const SwarmCommand&) override {}
};

/// A node that is its whole network.
struct LonelyNode {
  LonelyNode() {
    ServiceNode self;
    self.legacy = self.ed25519 = identity.public_key();
    self.swarm = 0;
    membership.update(std::make_shared<const ServiceNodes>(std::vector<ServiceNode>{self}), 1);
  }

  IdentitySecret identity = IdentitySecret::from_seed(Secret<32>());
  Membership membership{identity.public_key()};
  storage::MemoryStore store;
  Alone alone;
  StorageRpc rpc{{store,
                  identity,
                  membership,
                  alone,
                  system_random(),
                  [] { return kNowMs; },
                  [](const std::function<void()>& what) { what(); },
                  {},
                  {},
                  {}}};
};

}  // namespace allium::control
