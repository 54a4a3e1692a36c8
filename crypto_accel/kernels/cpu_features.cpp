// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernels/cpu_features.hpp"

#include <cpuid.h>

namespace allium::crypto_accel {

// The compiler's own check reads CPUID and, for wide registers, XGETBV as well.

namespace {

/// CPUID leaf 7 (Intel SDM volume 2A, table 3-8), as clang before 15 has no names for these in its own.
bool has_vaes() noexcept {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kBoth = bit_VAES | bit_VPCLMULQDQ;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kBoth) == kBoth;
}

}  // namespace

bool cpu_has_aes_avx2() noexcept {
  return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0 &&
         __builtin_cpu_supports("avx2") != 0;
}

bool cpu_has_vaes_avx2() noexcept {
  return cpu_has_aes_avx2() && has_vaes();
}

bool cpu_has_vaes_avx512() noexcept {
  return cpu_has_vaes_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

bool cpu_has_avx512_ifma() noexcept {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0 &&
         __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512ifma") != 0;
}

}  // namespace allium::crypto_accel
