// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the onion kernels have in common: the sizes that all take, and their rows, for the list of them (onion_batch.cpp).

#include <array>

#include "crypto_accel/onion_batch.hpp"

namespace allium::crypto_accel {

inline constexpr std::size_t kHeaderBytesMax = 656;  ///< S1
inline constexpr std::size_t kXRBytesMax =
    1072;  ///< D: 67 blocks, so byte 15 of a counter never carries

[[nodiscard]] constexpr bool is_whole_blocks(std::size_t byte_count) noexcept {
  return byte_count % kBlockBytes == 0;
}

/// ipsec-mb-sse, ipsec-mb.
[[nodiscard]] std::array<OnionKernel, 2> onion_ipsec_mb_kernels() noexcept;

/// aes-avx2, vaes-avx2, vaes-avx512.
[[nodiscard]] std::array<OnionKernel, 3> onion_vector_kernels() noexcept;

}  // namespace allium::crypto_accel
