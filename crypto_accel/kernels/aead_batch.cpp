// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/aead_batch.hpp"

#include <array>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernels/aead_variants.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::array<AeadKernel, 2> kKernels{{
    {"one-by-one", "AES-256-GCM by OpenSSL, XChaCha20-Poly1305 by libsodium",
     aead_one_by_one::supported, aead_one_by_one::open, aead_one_by_one::seal},
    {"ipsec-mb", "ipsec-mb with the widest vectors of this CPU; long XChaCha20-Poly1305 by OpenSSL",
     aead_ipsec_mb::supported, aead_ipsec_mb::open, aead_ipsec_mb::seal},
}};

void check_sizes(std::size_t text_bytes, std::size_t sealed_bytes) noexcept {
  ALLIUM_CHECK(text_bytes <= kAeadTextBytesMax && sealed_bytes == text_bytes + kAeadTagBytes);
}

}  // namespace

void aead_open(const AeadKernel& kernel, std::span<AeadJob> jobs) noexcept {
  for (const AeadJob& job : jobs) {
    check_sizes(job.target.size(), job.source.size());
  }
  kernel.open(jobs);
}

void aead_seal(const AeadKernel& kernel, std::span<AeadJob> jobs) noexcept {
  for (const AeadJob& job : jobs) {
    check_sizes(job.source.size(), job.target.size());
  }
  kernel.seal(jobs);
}

std::span<const AeadKernel> aead_kernels() noexcept {
  return kKernels;
}

}  // namespace allium::crypto_accel
