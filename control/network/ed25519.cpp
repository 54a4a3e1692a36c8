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
  return from_seed(seed);
}

IdentitySecret IdentitySecret::from_seed(const Secret<32>& seed) {
  IdentitySecret identity;
  ALLIUM_CHECK(crypto_sign_seed_keypair(identity.public_key_.data(), identity.secret_.data(),
                                        seed.data()) == 0);
  return identity;
}

Secret<32> IdentitySecret::x25519_secret() const noexcept {
  Secret<32> secret;
  ALLIUM_CHECK(crypto_sign_ed25519_sk_to_curve25519(secret.data(), secret_.data()) == 0);
  return secret;
}

Signature IdentitySecret::sign(Bytes message) const noexcept {
  Signature signature{};
  ALLIUM_CHECK(crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                                    secret_.data()) == 0);
  return signature;
}

std::optional<std::array<std::uint8_t, 32>> x25519_of(const IdentityKey& key) noexcept {
  std::array<std::uint8_t, 32> converted;
  if (crypto_sign_ed25519_pk_to_curve25519(converted.data(), key.data()) != 0) {
    return std::nullopt;
  }
  return converted;
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
