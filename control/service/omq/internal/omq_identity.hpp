// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who this node is in the OMQ network.
//
//   Ownership  a copy of the secret, which it wipes.

#include "control/service/omq/omq_endpoint.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

struct OmqIdentity {
  explicit OmqIdentity(const Secret<32>& secret_);

  Secret<32> secret;
  X25519Key key{};
};

}  // namespace allium::control
