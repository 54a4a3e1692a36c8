// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ed25519 keys and detached signatures (RFC 8032, libsodium), as the network document and the node
// records use them.
//
//   Ownership  IdentitySecret owns and wipes its key.
//   Threads    reentrant.
//   Timing     signing is constant-time in the key.

#include <array>
#include <cstdint>
#include <optional>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control {

using IdentityKey = std::array<std::uint8_t, 32>;  ///< the public half
using Signature = std::array<std::uint8_t, 64>;

/// A pair that signs: a relay's identity, or an authority of the network document.
class IdentitySecret {
 public:
  /// Draws 32 bytes.
  [[nodiscard]] static IdentitySecret generate(const Random& random);

  /// Of a seed that is kept somewhere.
  [[nodiscard]] static IdentitySecret from_seed(const Secret<32>& seed);

  /// The X25519 private key that belongs to x25519_of(public_key()).
  [[nodiscard]] Secret<32> x25519_secret() const noexcept;

  [[nodiscard]] const IdentityKey& public_key() const noexcept { return public_key_; }

  [[nodiscard]] Signature sign(Bytes message) const noexcept;

 private:
  IdentitySecret() noexcept = default;

  IdentityKey public_key_{};
  Secret<64> secret_;
};

/// The same key in its Montgomery form (birational map, RFC 7748 section 4.1). None: a key of low order.
[[nodiscard]] std::optional<std::array<std::uint8_t, 32>> x25519_of(
    const IdentityKey& key) noexcept;

/// Keys of low order and signatures that are not canonical are wrong.
[[nodiscard]] bool signature_holds(const IdentityKey& signer, Bytes message,
                                   const Signature& signature) noexcept;

/// First four bytes of SHA-256 of the identity (SPEC.md section 3).
[[nodiscard]] std::uint32_t relay_id(const IdentityKey& identity) noexcept;

}  // namespace allium::control
