// SPDX-License-Identifier: Apache-2.0

// Says whether this machine runs the AVX-512 code, and stands before it. Compiled for the baseline, as all but
// x25519_avx512_ifma.cpp is.

#include <cpuid.h>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/kernels/x25519_avx512_ifma.hpp"
#include "crypto_accel/kernels/x25519_variants.hpp"

namespace allium::crypto_accel::x25519_eight_lanes {
namespace {

static_assert(x25519_avx512_ifma::kPointsMax == kLanesMax);

// Eight lanes cost what one point costs libsodium, a few percent more: the ladder is the same for one lane and for all.
constexpr std::size_t kFewestPoints = 2;

// More than the frames of `multiply` and what it calls, which spill the state of the ladder: 10 KB optimised.
constexpr std::size_t kSpillBytes = std::size_t{32} << 10;

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf) noexcept {
  Registers answer;
  __get_cpuid_count(leaf, 0, &answer.eax, &answer.ebx, &answer.ecx, &answer.edx);
  return answer;
}

// Which registers the OS saves at a switch; a CPU may have instructions whose registers it does not.
unsigned saved_registers() noexcept {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

bool is_able() noexcept {
  constexpr unsigned kOsxsave = 1U << 27;  // leaf 1, ECX
  constexpr unsigned kAvx2 = 1U << 5;      // leaf 7, EBX, with the next ones
  constexpr unsigned kBmi2 = 1U << 8;
  constexpr unsigned kAvx512f = 1U << 16;
  constexpr unsigned kAvx512dq = 1U << 17;
  constexpr unsigned kAvx512ifma = 1U << 21;
  constexpr unsigned kNeeded = kAvx2 | kBmi2 | kAvx512f | kAvx512dq | kAvx512ifma;
  constexpr unsigned kSaved = 0xe6;  // SSE, AVX, masks, upper halves of zmm0 to 15, zmm16 to 31
  return (cpuid(1).ecx & kOsxsave) != 0 && (saved_registers() & kSaved) == kSaved &&
         (cpuid(7).ebx & kNeeded) == kNeeded;
}

}  // namespace

bool supported() noexcept {
  static const bool both_run = x25519_libsodium::supported() && is_able();
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
