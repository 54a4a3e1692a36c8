// SPDX-License-Identifier: Apache-2.0
#include "control/service/channel_cipher.hpp"

#include <array>
#include <memory>
#include <vector>

#include <openssl/evp.h>
#include <sodium.h>

#include "control/service/encoding.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {
namespace {

using crypto_accel::AeadJob;
using crypto_accel::AeadKernel;
using crypto_accel::AeadKind;
using crypto_accel::kAeadTagBytes;
using crypto_accel::kAeadTextBytesMax;

constexpr std::size_t kCbcBlockBytes = 16;

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

AeadKind aead_kind(EncryptType type) noexcept {
  return type == EncryptType::aes_gcm ? AeadKind::aes256_gcm : AeadKind::xchacha20_poly1305;
}

/// Nonce, ciphertext and tag of `blob`; the plaintext comes where the ciphertext is. nullopt: no such blob.
std::optional<AeadJob> opening_job(EncryptType type, const Secret<32>& key, std::string& blob) {
  const AeadKind kind = aead_kind(type);
  const std::size_t nonce_bytes = crypto_accel::aead_nonce_bytes(kind);
  const std::size_t frame_bytes = nonce_bytes + kAeadTagBytes;
  if (blob.size() < frame_bytes || blob.size() - frame_bytes > kAeadTextBytesMax) {
    return std::nullopt;
  }
  const MutableBytes sealed(writable(blob, nonce_bytes), blob.size() - nonce_bytes);
  return AeadJob{
      kind, key.data(), writable(blob), sealed, sealed.first(sealed.size() - kAeadTagBytes), false};
}

/// In place: the plaintext comes where the ciphertext is.
std::optional<std::string_view> open_cbc(const Secret<32>& key, std::string& blob) {
  if (blob.size() < 2 * kCbcBlockBytes || blob.size() % kCbcBlockBytes != 0 ||
      blob.size() > kAeadTextBytesMax) {
    return std::nullopt;
  }
  const MutableBytes body(writable(blob, kCbcBlockBytes), blob.size() - kCbcBlockBytes);
  const CipherContext context = new_context();
  int first = 0;
  int last = 0;
  const bool is_open = EVP_DecryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, key.data(),
                                          writable(blob)) == 1 &&
                       EVP_DecryptUpdate(context.get(), body.data(), &first, body.data(),
                                         static_cast<int>(body.size())) == 1 &&
                       EVP_DecryptFinal_ex(context.get(), body.data() + first, &last) == 1;
  if (!is_open) {
    wipe(body.data(), body.size());
    return std::nullopt;
  }
  return text_of(body.first(static_cast<std::size_t>(first) + static_cast<std::size_t>(last)));
}

std::string seal_aead(const AeadKernel& kernel, EncryptType type, const Secret<32>& key,
                      std::string_view plaintext, const Random& random) {
  const AeadKind kind = aead_kind(type);
  const std::size_t nonce_bytes = crypto_accel::aead_nonce_bytes(kind);
  std::string sealed(nonce_bytes + plaintext.size() + kAeadTagBytes, '\0');
  random(std::span(writable(sealed), nonce_bytes));
  AeadJob job{kind,
              key.data(),
              writable(sealed),
              bytes_of(plaintext),
              {writable(sealed, nonce_bytes), plaintext.size() + kAeadTagBytes},
              false};
  crypto_accel::aead_seal(kernel, std::span(&job, 1));
  return sealed;
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

void open_batch(const AeadKernel& kernel, std::span<SealedBlob> blobs) {
  std::vector<Secret<32>> keys(blobs.size());
  std::vector<AeadJob> jobs;
  std::vector<SealedBlob*> blob_of_job;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    SealedBlob& blob = blobs[i];
    blob.plaintext.reset();
    keys[i] = channel_key(*blob.channel, blob.type);
    if (blob.type == EncryptType::aes_cbc) {
      blob.plaintext = open_cbc(keys[i], *blob.bytes);
    } else if (const auto job = opening_job(blob.type, keys[i], *blob.bytes)) {
      jobs.push_back(*job);
      blob_of_job.push_back(&blob);
    }
  }
  crypto_accel::aead_open(kernel, jobs);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (jobs[i].is_good) {
      blob_of_job[i]->plaintext = text_of(jobs[i].target);
    }
  }
}

std::optional<std::string> open(const Channel& channel, EncryptType type,
                                std::string_view ciphertext) {
  std::string bytes(ciphertext);
  SealedBlob blob{&channel, type, &bytes, std::nullopt};
  open_batch(crypto_accel::aead_kernels().front(), std::span(&blob, 1));
  return blob.plaintext ? std::optional<std::string>(*blob.plaintext) : std::nullopt;
}

std::string seal(const AeadKernel& kernel, const Channel& channel, EncryptType type,
                 std::string_view plaintext, const Random& random) {
  const Secret<32> key = channel_key(channel, type);
  return type == EncryptType::aes_cbc ? seal_cbc(key, plaintext, random)
                                      : seal_aead(kernel, type, key, plaintext, random);
}

std::string seal(const Channel& channel, EncryptType type, std::string_view plaintext,
                 const Random& random) {
  return seal(crypto_accel::aead_kernels().front(), channel, type, plaintext, random);
}

}  // namespace allium::control
