// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one door between the file that is compiled for AVX-512 IFMA and the rest of the program. Raw pointers: an inline
// function of a library would leave its wide copy to everybody.

#include <cstddef>
#include <cstdint>

namespace allium::crypto_accel::x25519_avx512_ifma {

/// Points that one call takes: four registers' worth of lanes, which share one inversion.
inline constexpr std::size_t kPointsMax = 32;

/// shared[32 i..] = scalar * points[32 i..], 32 bytes each without alignment, as X25519Kernel::run says. Returns the mask
/// of good points.
///
/// Requires 1 <= point_count <= kPointsMax, and a CPU and an OS that x25519_eight_lanes::supported has found able. All
/// points are read before the first secret is written. Clears the vector and mask registers; what it spills to the stack
/// is the caller's to wipe.
[[nodiscard]] std::uint32_t multiply(const std::uint8_t* scalar, const std::uint8_t* points,
                                     std::uint8_t* shared, std::size_t point_count) noexcept;

}  // namespace allium::crypto_accel::x25519_avx512_ifma
