// SPDX-License-Identifier: Apache-2.0
#pragma once

// OpenSSL's AEADs with a 12-byte nonce, one text after the other.
//
//   Ownership  the context is the object's; OpenSSL wipes the key schedule in it when it ends.
//   Errors     what OpenSSL refuses besides a tag is an error of ours (ALLIUM_CHECK).
//   Threads    one thread an object.

#include <cstdint>

#include <openssl/types.h>

#include "crypto_accel/aead_batch.hpp"

namespace allium::crypto_accel {

enum class OpensslCipher : std::uint8_t { aes256_gcm, chacha20_poly1305 };

class OpensslAead {
 public:
  explicit OpensslAead(OpensslCipher cipher) noexcept;
  ~OpensslAead();
  OpensslAead(const OpensslAead&) = delete;
  OpensslAead& operator=(const OpensslAead&) = delete;

  /// As aead_open and aead_seal do with one job, but with this key and this nonce.
  void open(const std::uint8_t* key, const std::uint8_t* nonce, AeadJob& job) noexcept;
  void seal(const std::uint8_t* key, const std::uint8_t* nonce, AeadJob& job) noexcept;

 private:
  const EVP_CIPHER* cipher_;
  EVP_CIPHER_CTX* context_;
};

}  // namespace allium::crypto_accel
