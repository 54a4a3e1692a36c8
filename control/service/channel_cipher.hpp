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
#include <span>
#include <string>
#include <string_view>

#include "crypto_accel/aead_batch.hpp"
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

/// What came over a channel, to be opened where it is.
struct SealedBlob {
  const Channel* channel = nullptr;
  EncryptType type = EncryptType::aes_gcm;
  std::string* bytes = nullptr;
  std::optional<std::string_view> plaintext;  ///< the answer: in `bytes`; nullopt: it does not open
};

/// Opens each in place; those of AEAD types together by `kernel`. Of one that does not open nothing is left.
void open_batch(const crypto_accel::AeadKernel& kernel, std::span<SealedBlob> blobs);

[[nodiscard]] std::string seal(const crypto_accel::AeadKernel& kernel, const Channel& channel,
                               EncryptType type, std::string_view plaintext, const Random& random);

/// One alone, for those who do not choose kernels: by the portable one.
[[nodiscard]] std::optional<std::string> open(const Channel& channel, EncryptType type,
                                              std::string_view ciphertext);
[[nodiscard]] std::string seal(const Channel& channel, EncryptType type, std::string_view plaintext,
                               const Random& random);

}  // namespace allium::control
