// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernels/x25519_variants.hpp"

namespace allium::crypto_accel::x25519_libsodium {
namespace {

// libsodium leaves the clamped scalar and limbs of the last answer there.
constexpr std::size_t kSpillBytes = 4096;

}  // namespace

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
    // libsodium says -1, not 0, for the points of low order, which are those that give zero; it may not have written
    // the answer then. Without a branch: it is said of a secret.
    const int refused = crypto_scalarmult(shared[i].data(), scalar.data(), points[i].data());
    good |= static_cast<LaneMask>(refused + 1) << i;
    for (std::uint8_t& byte : shared[i]) {
      byte = static_cast<std::uint8_t>(byte & ~refused);
    }
  }
  sodium_stackzero(kSpillBytes);
  return good;
}

}  // namespace allium::crypto_accel::x25519_libsodium
