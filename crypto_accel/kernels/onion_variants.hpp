// SPDX-License-Identifier: Apache-2.0
#pragma once

// The rows of the onion kernels, for the list of them (onion_batch.cpp).

#include <array>

#include "crypto_accel/onion_batch.hpp"

namespace allium::crypto_accel {

/// ipsec-mb-sse, ipsec-mb.
[[nodiscard]] std::array<OnionKernel, 2> onion_ipsec_mb_kernels() noexcept;

/// aes-avx2, vaes-avx2, vaes-avx512.
[[nodiscard]] std::array<OnionKernel, 3> onion_vector_kernels() noexcept;

}  // namespace allium::crypto_accel
