// SPDX-License-Identifier: Apache-2.0
#pragma once

// X25519 (RFC 7748) over one burst: the public-key half of opening a setup packet.
//
//   Units      sizes are bytes; a batch is counted in lanes, one lane a packet.
//   Ownership  the caller owns every buffer; nothing is kept after the call returns.
//   Errors     a batch never fails; a lane does, and then its bit in the answer is 0.
//   Threads    reentrant.
//   Timing     constant in scalars and points; it varies with the number of lanes alone.
//   Cost       the wide variant works on eight lanes at a time: one to eight cost the same, 9 to 16 twice that.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/onion_batch.hpp"

namespace allium::crypto_accel {

using PublicKey = std::array<std::uint8_t, 32>;
using PrivateKey = Secret<32>;
using SharedSecret = std::array<std::uint8_t, 32>;  ///< the caller wipes it

/// One variant; `name` is what ALLIUM_KERNEL=x25519=NAME accepts.
struct X25519Kernel {
  std::string_view name;
  std::string_view description;
  bool (*supported)() noexcept;
  /// shared[i] = scalar * points[i]: all lanes share one scalar. Bit 255 of a point is ignored, u >= p
  /// is accepted (SPEC.md 2.7). Requires points.size() == shared.size() <= kLanesMax. A point that
  /// yields the all-zero secret fails its lane: the bit in the answer is 0, the secret is zeroed.
  LaneMask (*run)(const PrivateKey& scalar, std::span<const PublicKey> points,
                  std::span<SharedSecret> shared) noexcept;
};

/// Every variant built in, the portable one first.
[[nodiscard]] std::span<const X25519Kernel> x25519_kernels() noexcept;

}  // namespace allium::crypto_accel
