// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys of a link between two relays, from the onion keys of the hour (SPEC.md section 4).
//
//   Ownership  the answer owns its keys.
//   Threads    reentrant.
//   Timing     constant in keys.

#include <cstdint>
#include <optional>

#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/relay_snapshot.hpp"

namespace allium::onion {

/// A relay as the other end of a link sees it: the id, and X_h of the hour floor(epoch / 6).
struct LinkEnd {
  std::uint32_t id = 0;
  crypto_accel::PublicKey onion_key{};
};

/// Both directions of the link between `own` and `peer` in `epoch`. `own_private` is the private half of
/// own.onion_key. Nullopt where the peer's key has low order: there is no link then.
[[nodiscard]] std::optional<LinkSecrets> derive_link_secrets(
    const crypto_accel::PrivateKey& own_private, const LinkEnd& own, const LinkEnd& peer,
    std::uint64_t epoch) noexcept;

}  // namespace allium::onion
