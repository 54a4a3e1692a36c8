// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernels/openssl_aead.hpp"

#include <openssl/evp.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::crypto_accel {
namespace {

// A library context of our own: an openssl.cnf that leaves only providers without ChaCha20 must not end the process.
// Fetched once: a fetch a text would cost more than a short text does.
struct Ciphers {
  OSSL_LIB_CTX* library = OSSL_LIB_CTX_new();
  EVP_CIPHER* aes256_gcm = EVP_CIPHER_fetch(library, "AES-256-GCM", nullptr);
  EVP_CIPHER* chacha20_poly1305 = EVP_CIPHER_fetch(library, "ChaCha20-Poly1305", nullptr);
};

const EVP_CIPHER* fetched(OpensslCipher cipher) noexcept {
  static const Ciphers ciphers;
  return cipher == OpensslCipher::aes256_gcm ? ciphers.aes256_gcm : ciphers.chacha20_poly1305;
}

}  // namespace

OpensslAead::OpensslAead(OpensslCipher cipher) noexcept
    : cipher_(fetched(cipher)), context_(EVP_CIPHER_CTX_new()) {
  ALLIUM_CHECK(cipher_ != nullptr && context_ != nullptr);
}

OpensslAead::~OpensslAead() {
  EVP_CIPHER_CTX_free(context_);
}

void OpensslAead::open(const std::uint8_t* key, const std::uint8_t* nonce, AeadJob& job) noexcept {
  const std::size_t text_bytes = job.target.size();
  Block tag = load_block(job.source.data() + text_bytes);
  int count = 0;
  ALLIUM_CHECK(EVP_DecryptInit_ex2(context_, cipher_, key, nonce, nullptr) == 1 &&
               EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, kAeadTagBytes, tag.data()) ==
                   1);
  // A null target would mean associated data.
  ALLIUM_CHECK(text_bytes == 0 ||
               EVP_DecryptUpdate(context_, job.target.data(), &count, job.source.data(),
                                 static_cast<int>(text_bytes)) == 1);
  Block nothing;
  job.is_good = EVP_DecryptFinal_ex(context_, nothing.data(), &count) == 1;
  if (!job.is_good) {
    wipe(job.target.data(), text_bytes);
  }
}

void OpensslAead::seal(const std::uint8_t* key, const std::uint8_t* nonce, AeadJob& job) noexcept {
  const std::size_t text_bytes = job.source.size();
  int count = 0;
  ALLIUM_CHECK(EVP_EncryptInit_ex2(context_, cipher_, key, nonce, nullptr) == 1);
  ALLIUM_CHECK(text_bytes == 0 ||
               EVP_EncryptUpdate(context_, job.target.data(), &count, job.source.data(),
                                 static_cast<int>(text_bytes)) == 1);
  Block nothing;
  ALLIUM_CHECK(EVP_EncryptFinal_ex(context_, nothing.data(), &count) == 1 &&
               EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kAeadTagBytes,
                                   job.target.data() + text_bytes) == 1);
  job.is_good = true;
}

}  // namespace allium::crypto_accel
