// SPDX-License-Identifier: Apache-2.0

// Says whether this machine runs the AVX-512 code, and stands before it. Compiled for the baseline, as all but
// x25519_avx512_ifma.cpp is.

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernels/cpu_features.hpp"
#include "crypto_accel/kernels/x25519_avx512_ifma.hpp"
#include "crypto_accel/kernels/x25519_variants.hpp"

namespace allium::crypto_accel::x25519_eight_lanes {
namespace {

static_assert(x25519_avx512_ifma::kPointsMax == kLanesMax);

// Eight lanes cost what one point costs libsodium, a few percent more: the ladder is the same for one lane and for all.
constexpr std::size_t kFewestPoints = 2;

// More than the frames of `multiply` and what it calls, which spill the state of the ladder: 10 KB optimised.
constexpr std::size_t kSpillBytes = std::size_t{32} << 10;

}  // namespace

bool supported() noexcept {
  static const bool both_run = x25519_libsodium::supported() && cpu_has_avx512_ifma();
  return both_run;
}

LaneMask run(const PrivateKey& scalar, std::span<const PublicKey> points,
             std::span<SharedSecret> shared) noexcept {
  ALLIUM_CHECK(points.size() == shared.size() && points.size() <= kLanesMax);
  if (points.size() < kFewestPoints) {
    return x25519_libsodium::run(scalar, points, shared);
  }
  const LaneMask good = x25519_avx512_ifma::multiply(scalar.data(), points.front().data(),
                                                     shared.front().data(), points.size());
  sodium_stackzero(kSpillBytes);
  return good;
}

}  // namespace allium::crypto_accel::x25519_eight_lanes
