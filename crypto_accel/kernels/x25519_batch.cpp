// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/x25519_batch.hpp"

#include "crypto_accel/kernels/x25519_variants.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::array<X25519Kernel, 2> kKernels{{
    {"libsodium", "one lane after the other by libsodium's crypto_scalarmult",
     x25519_libsodium::supported, x25519_libsodium::run},
    {"avx512-ifma", "eight lanes at once in AVX-512 IFMA, one inversion for all; libsodium for one",
     x25519_eight_lanes::supported, x25519_eight_lanes::run},
}};

}  // namespace

std::span<const X25519Kernel> x25519_kernels() noexcept {
  return kKernels;
}

}  // namespace allium::crypto_accel
