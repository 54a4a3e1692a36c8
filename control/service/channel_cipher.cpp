// SPDX-License-Identifier: Apache-2.0
#include "control/service/channel_cipher.hpp"

#include <array>
#include <memory>

#include <openssl/evp.h>
#include <sodium.h>

#include "control/service/encoding.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {
namespace {

constexpr std::size_t kGcmNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kCbcBlockBytes = 16;
constexpr std::size_t kXchachaNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

CipherContext new_context() {
  CipherContext context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  ALLIUM_CHECK(context != nullptr);
  return context;
}

Secret<32> channel_key(const Channel& channel, EncryptType type) {
  Secret<32> key;
  if (type == EncryptType::aes_gcm) {
    // HMAC-SHA256 under the key "LOKI".
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, bytes_of("LOKI").data(), 4);
    crypto_auth_hmacsha256_update(&state, channel.shared.data(), 32);
    crypto_auth_hmacsha256_final(&state, key.data());
    wipe(&state, sizeof state);
  } else if (type == EncryptType::xchacha20) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, nullptr, 0, 32);
    crypto_generichash_update(&state, channel.shared.data(), 32);
    crypto_generichash_update(&state, channel.client.data(), 32);
    crypto_generichash_update(&state, channel.node.data(), 32);
    crypto_generichash_final(&state, key.data(), 32);
    wipe(&state, sizeof state);
  } else {
    key.copy_from(channel.shared);
  }
  return key;
}

unsigned char* writable(std::string& text, std::size_t offset = 0) noexcept {
  return reinterpret_cast<unsigned char*>(text.data()) + offset;
}

std::optional<std::string> open_gcm(const Secret<32>& key, std::string_view ciphertext) {
  if (ciphertext.size() < kGcmNonceBytes + kTagBytes) {
    return std::nullopt;
  }
  const Bytes nonce = bytes_of(ciphertext.substr(0, kGcmNonceBytes));
  const Bytes body =
      bytes_of(ciphertext.substr(kGcmNonceBytes, ciphertext.size() - kGcmNonceBytes - kTagBytes));
  std::string tag(ciphertext.substr(ciphertext.size() - kTagBytes));
  std::string plain(body.size(), '\0');
  const CipherContext context = new_context();
  int count = 0;
  const bool is_open =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) ==
          1 &&
      EVP_DecryptUpdate(context.get(), writable(plain), &count, body.data(),
                        static_cast<int>(body.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context.get(), writable(plain, plain.size()), &count) == 1;
  return is_open ? std::optional(std::move(plain)) : std::nullopt;
}

std::string seal_gcm(const Secret<32>& key, std::string_view plaintext, const Random& random) {
  std::string sealed(kGcmNonceBytes + plaintext.size() + kTagBytes, '\0');
  random(std::span(writable(sealed), kGcmNonceBytes));
  const CipherContext context = new_context();
  int count = 0;
  const std::size_t end = kGcmNonceBytes + plaintext.size();
  ALLIUM_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), writable(sealed)) ==
          1 &&
      EVP_EncryptUpdate(context.get(), writable(sealed, kGcmNonceBytes), &count,
                        bytes_of(plaintext).data(), static_cast<int>(plaintext.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), writable(sealed, end), &count) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, writable(sealed, end)) ==
          1);
  return sealed;
}

std::optional<std::string> open_xchacha(const Secret<32>& key, std::string_view ciphertext) {
  if (ciphertext.size() < kXchachaNonceBytes + kTagBytes) {
    return std::nullopt;
  }
  const Bytes body = bytes_of(ciphertext.substr(kXchachaNonceBytes));
  std::string plain(body.size() - kTagBytes, '\0');
  const bool is_open = crypto_aead_xchacha20poly1305_ietf_decrypt(
                           writable(plain), nullptr, nullptr, body.data(), body.size(), nullptr, 0,
                           bytes_of(ciphertext).data(), key.data()) == 0;
  return is_open ? std::optional(std::move(plain)) : std::nullopt;
}

std::string seal_xchacha(const Secret<32>& key, std::string_view plaintext, const Random& random) {
  std::string sealed(kXchachaNonceBytes + plaintext.size() + kTagBytes, '\0');
  random(std::span(writable(sealed), kXchachaNonceBytes));
  crypto_aead_xchacha20poly1305_ietf_encrypt(writable(sealed, kXchachaNonceBytes), nullptr,
                                             bytes_of(plaintext).data(), plaintext.size(), nullptr,
                                             0, nullptr, writable(sealed), key.data());
  return sealed;
}

std::optional<std::string> open_cbc(const Secret<32>& key, std::string_view ciphertext) {
  if (ciphertext.size() < 2 * kCbcBlockBytes || ciphertext.size() % kCbcBlockBytes != 0) {
    return std::nullopt;
  }
  const Bytes body = bytes_of(ciphertext.substr(kCbcBlockBytes));
  std::string plain(body.size() + kCbcBlockBytes, '\0');
  const CipherContext context = new_context();
  int first = 0;
  int last = 0;
  const bool is_open =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, key.data(),
                         bytes_of(ciphertext).data()) == 1 &&
      EVP_DecryptUpdate(context.get(), writable(plain), &first, body.data(),
                        static_cast<int>(body.size())) == 1 &&
      EVP_DecryptFinal_ex(context.get(), writable(plain, static_cast<std::size_t>(first)), &last) ==
          1;
  if (!is_open) {
    return std::nullopt;
  }
  plain.resize(static_cast<std::size_t>(first + last));
  return plain;
}

std::string seal_cbc(const Secret<32>& key, std::string_view plaintext, const Random& random) {
  std::string sealed(2 * kCbcBlockBytes + plaintext.size(), '\0');
  random(std::span(writable(sealed), kCbcBlockBytes));
  const CipherContext context = new_context();
  int first = 0;
  int last = 0;
  ALLIUM_CHECK(
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, key.data(), writable(sealed)) ==
          1 &&
      EVP_EncryptUpdate(context.get(), writable(sealed, kCbcBlockBytes), &first,
                        bytes_of(plaintext).data(), static_cast<int>(plaintext.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(),
                          writable(sealed, kCbcBlockBytes + static_cast<std::size_t>(first)),
                          &last) == 1);
  sealed.resize(kCbcBlockBytes + static_cast<std::size_t>(first + last));
  return sealed;
}

}  // namespace

std::optional<EncryptType> parse_encrypt_type(std::string_view name) noexcept {
  if (name == "aes-gcm" || name == "gcm") {
    return EncryptType::aes_gcm;
  }
  if (name == "xchacha20" || name == "xchacha20-poly1305") {
    return EncryptType::xchacha20;
  }
  if (name == "aes-cbc" || name == "cbc") {
    return EncryptType::aes_cbc;
  }
  return std::nullopt;
}

std::string_view encrypt_type_name(EncryptType type) noexcept {
  switch (type) {
    case EncryptType::aes_gcm:
      return "aes-gcm";
    case EncryptType::xchacha20:
      return "xchacha20";
    case EncryptType::aes_cbc:
      return "aes-cbc";
  }
  return "aes-gcm";
}

std::optional<std::string> open(const Channel& channel, EncryptType type,
                                std::string_view ciphertext) {
  const Secret<32> key = channel_key(channel, type);
  switch (type) {
    case EncryptType::aes_gcm:
      return open_gcm(key, ciphertext);
    case EncryptType::xchacha20:
      return open_xchacha(key, ciphertext);
    case EncryptType::aes_cbc:
      return open_cbc(key, ciphertext);
  }
  return std::nullopt;
}

std::string seal(const Channel& channel, EncryptType type, std::string_view plaintext,
                 const Random& random) {
  const Secret<32> key = channel_key(channel, type);
  switch (type) {
    case EncryptType::aes_gcm:
      return seal_gcm(key, plaintext, random);
    case EncryptType::xchacha20:
      return seal_xchacha(key, plaintext, random);
    case EncryptType::aes_cbc:
      break;
  }
  return seal_cbc(key, plaintext, random);
}

}  // namespace allium::control
