// SPDX-License-Identifier: Apache-2.0
#pragma once

// The primitives of SPEC.md section 2, one message at a time: for clients, setup packets and return
// blocks, where X25519 dominates. The packet path uses onion_batch.hpp.
//
//   Ownership  the caller owns every buffer. Schedules made inside a call are wiped before it returns.
//   Errors     none but gcm_open and x25519, which say false.
//   Threads    any; each thread has its own library state.
//   Timing     constant in keys and data.
//   Limits     messages of whole blocks where the section says so (ALLIUM_CHECK).

#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::crypto_accel {

[[nodiscard]] Block aes_encrypt(const Block& key, const Block& plain) noexcept;
[[nodiscard]] Block aes_decrypt(const Block& key, const Block& cipher) noexcept;

/// target ^= CTR_key(iv, |target|); the counter is the whole block, big-endian, mod 2^128 (2.1).
void ctr_xor(const Block& key, const Block& iv, MutableBytes target) noexcept;

/// GHASH_H(A, C) with its length block (2.2). Whole blocks.
[[nodiscard]] Block ghash(const Block& h, Bytes a, Bytes c) noexcept;

/// a·b in the field of GHASH (2.3).
[[nodiscard]] Block field_product(const Block& a, const Block& b) noexcept;

/// Raw CBC-MAC, zero IV, whole blocks, at least one (2.4).
[[nodiscard]] Block cbcmac(const Block& key, Bytes message) noexcept;

/// AES-CMAC, RFC 4493 (2.5); any length.
[[nodiscard]] Block cmac(const Block& key, Bytes message) noexcept;

/// HKDF-SHA256, RFC 5869 (2.5). |target| <= 255 * 32.
void hkdf_sha256(Bytes salt, Bytes input, Bytes info, MutableBytes target) noexcept;

inline constexpr std::size_t kGcmNonceBytes = 12;
inline constexpr std::size_t kGcmTagBytes = 12;

/// AES-128-GCM with a 12-byte nonce, the tag cut to 12 bytes (2.6). `text` is changed in place.
void gcm_seal(const Block& key, std::span<const std::uint8_t, kGcmNonceBytes> nonce, Bytes aad,
              MutableBytes text, std::span<std::uint8_t, kGcmTagBytes> tag) noexcept;

/// False where the tag does not hold; `text` is zeroed then.
[[nodiscard]] bool gcm_open(const Block& key, std::span<const std::uint8_t, kGcmNonceBytes> nonce,
                            Bytes aad, MutableBytes text,
                            std::span<const std::uint8_t, kGcmTagBytes> tag) noexcept;

/// shared = scalar * point (RFC 7748, 2.7). False where the result is all zero: refuse.
[[nodiscard]] bool x25519(const PrivateKey& scalar, const PublicKey& point,
                          SharedSecret& shared) noexcept;

/// The public half of a private key.
[[nodiscard]] PublicKey x25519_public(const PrivateKey& scalar) noexcept;

/// First 4 bytes, big-endian, of SHA-256 of an Ed25519 identity: the relay id (section 3).
[[nodiscard]] std::uint32_t relay_id(const PublicKey& identity) noexcept;

}  // namespace allium::crypto_accel
