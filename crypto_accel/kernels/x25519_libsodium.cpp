// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::crypto_accel {
namespace {

bool supported() noexcept {
  // Also picks libsodium's best implementation for this CPU.
  static const bool ready = sodium_init() >= 0;
  return ready;
}

LaneMask run(const PrivateKey& scalar, std::span<const PublicKey> points,
             std::span<SharedSecret> shared) noexcept {
  ALLIUM_CHECK(points.size() == shared.size() && points.size() <= kLanesMax);
  LaneMask good = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    // libsodium says -1 for the points of low order, which are those that give zero; it may not
    // have written the answer then.
    if (crypto_scalarmult(shared[i].data(), scalar.data(), points[i].data()) == 0) {
      good |= LaneMask{1} << i;
    } else {
      shared[i].fill(0);
    }
  }
  return good;
}

constexpr std::array<X25519Kernel, 1> kKernels{{
    {"libsodium", "one lane after the other by libsodium's crypto_scalarmult", supported, run},
}};

}  // namespace

std::span<const X25519Kernel> x25519_kernels() noexcept {
  return kKernels;
}

}  // namespace allium::crypto_accel
