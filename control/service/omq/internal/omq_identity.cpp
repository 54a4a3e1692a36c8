// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/omq_identity.hpp"

#include <sodium.h>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

OmqIdentity::OmqIdentity(const Secret<32>& secret_) {
  secret.copy_from(secret_);
  ALLIUM_CHECK(crypto_scalarmult_base(key.data(), secret.data()) == 0);
}

}  // namespace allium::control
