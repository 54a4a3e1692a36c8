// SPDX-License-Identifier: Apache-2.0
#include "control/network/ed25519.hpp"

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"

namespace allium::control {

static_assert(crypto_sign_PUBLICKEYBYTES == 32 && crypto_sign_SECRETKEYBYTES == 64 &&
              crypto_sign_BYTES == 64 && crypto_sign_SEEDBYTES == 32);

IdentitySecret IdentitySecret::generate(const Random& random) {
  Secret<32> seed;
  random(seed.bytes());
  IdentitySecret identity;
  ALLIUM_CHECK(crypto_sign_seed_keypair(identity.public_key_.data(), identity.secret_.data(),
                                        seed.data()) == 0);
  return identity;
}

Signature IdentitySecret::sign(Bytes message) const noexcept {
  Signature signature{};
  ALLIUM_CHECK(crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                                    secret_.data()) == 0);
  return signature;
}

bool signature_holds(const IdentityKey& signer, Bytes message,
                     const Signature& signature) noexcept {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     signer.data()) == 0;
}

std::uint32_t relay_id(const IdentityKey& identity) noexcept {
  return crypto_accel::relay_id(identity);
}

}  // namespace allium::control
