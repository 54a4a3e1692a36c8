// SPDX-License-Identifier: Apache-2.0

// The reference: nothing of it is ours or ipsec-mb's.

#include <optional>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernels/aead_variants.hpp"
#include "crypto_accel/kernels/openssl_aead.hpp"

namespace allium::crypto_accel::aead_one_by_one {
namespace {

void open_xchacha(AeadJob& job) noexcept {
  const std::size_t text_bytes = job.target.size();
  job.is_good = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
                    job.target.data(), nullptr, job.source.data(), text_bytes,
                    job.source.data() + text_bytes, nullptr, 0, job.nonce, job.key) == 0;
  if (!job.is_good) {
    wipe(job.target.data(), text_bytes);
  }
}

void seal_xchacha(AeadJob& job) noexcept {
  const std::size_t text_bytes = job.source.size();
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
      job.target.data(), job.target.data() + text_bytes, nullptr, job.source.data(), text_bytes,
      nullptr, 0, nullptr, job.nonce, job.key);
  job.is_good = true;
}

OpensslAead& made(std::optional<OpensslAead>& gcm) noexcept {
  return gcm ? *gcm : gcm.emplace(OpensslCipher::aes256_gcm);
}

}  // namespace

bool supported() noexcept {
  static const bool ready = sodium_init() >= 0;
  return ready;
}

void open(std::span<AeadJob> jobs) noexcept {
  std::optional<OpensslAead> gcm;
  for (AeadJob& job : jobs) {
    if (job.kind == AeadKind::aes256_gcm) {
      made(gcm).open(job.key, job.nonce, job);
    } else {
      open_xchacha(job);
    }
  }
}

void seal(std::span<AeadJob> jobs) noexcept {
  std::optional<OpensslAead> gcm;
  for (AeadJob& job : jobs) {
    if (job.kind == AeadKind::aes256_gcm) {
      made(gcm).seal(job.key, job.nonce, job);
    } else {
      seal_xchacha(job);
    }
  }
}

}  // namespace allium::crypto_accel::aead_one_by_one
