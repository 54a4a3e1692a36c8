// SPDX-License-Identifier: Apache-2.0
#pragma once

// The encryption of one hop of an onion request: a client's ephemeral X25519 key to a node's, one key for both
// directions (session onion requests v2, "Encryption per hop").
//
//   Ownership  values; keys made inside a call are wiped before it returns.
//   Errors     nullopt: it does not open.
//   Threads    reentrant; `random` is the caller's.
//   Timing     constant in keys and plaintext.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::control {

enum class EncryptType : std::uint8_t { aes_gcm, xchacha20, aes_cbc };

/// "aes-gcm" or "gcm", "xchacha20" or "xchacha20-poly1305", "aes-cbc" or "cbc".
[[nodiscard]] std::optional<EncryptType> parse_encrypt_type(std::string_view name) noexcept;
[[nodiscard]] std::string_view encrypt_type_name(EncryptType type) noexcept;

/// Both ends of a hop and what they share. The owner wipes `shared`.
struct Channel {
  crypto_accel::PublicKey client{};
  crypto_accel::PublicKey node{};
  Secret<32> shared;
};

[[nodiscard]] std::optional<std::string> open(const Channel& channel, EncryptType type,
                                              std::string_view ciphertext);

[[nodiscard]] std::string seal(const Channel& channel, EncryptType type, std::string_view plaintext,
                               const Random& random);

}  // namespace allium::control
