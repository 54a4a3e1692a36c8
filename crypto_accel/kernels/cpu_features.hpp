// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this CPU and this operating system can run, for the dispatch of kernels.
//
//   Errors     none: a feature that is not known is not there.
//   Threads    any.

namespace allium::crypto_accel {

/// AES-NI, PCLMULQDQ, AVX2.
[[nodiscard]] bool cpu_has_aes_avx2() noexcept;

/// The same, VAES and VPCLMULQDQ.
[[nodiscard]] bool cpu_has_vaes_avx2() noexcept;

/// The same and AVX-512 F, BW, DQ, VL, with the registers switched on by the system.
[[nodiscard]] bool cpu_has_vaes_avx512() noexcept;

/// AVX-512 F, DQ and IFMA, AVX2, BMI2, with the registers switched on by the system.
[[nodiscard]] bool cpu_has_avx512_ifma() noexcept;

}  // namespace allium::crypto_accel
