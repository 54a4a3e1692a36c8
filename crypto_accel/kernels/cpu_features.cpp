// SPDX-License-Identifier: Apache-2.0
#include "crypto_accel/kernels/cpu_features.hpp"

namespace allium::crypto_accel {

// The compiler's own check reads CPUID and, for wide registers, XGETBV as well.

bool cpu_has_aes_avx2() noexcept {
  return __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0 &&
         __builtin_cpu_supports("avx2") != 0;
}

bool cpu_has_vaes_avx2() noexcept {
  return cpu_has_aes_avx2() && __builtin_cpu_supports("vaes") != 0 &&
         __builtin_cpu_supports("vpclmulqdq") != 0;
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
