// SPDX-License-Identifier: Apache-2.0
#pragma once

// The functions of both X25519 variants, for the list of them.

#include "crypto_accel/x25519_batch.hpp"

namespace allium::crypto_accel {

namespace x25519_libsodium {
[[nodiscard]] bool supported() noexcept;
[[nodiscard]] LaneMask run(const PrivateKey& scalar, std::span<const PublicKey> points,
                           std::span<SharedSecret> shared) noexcept;
}  // namespace x25519_libsodium

namespace x25519_eight_lanes {
[[nodiscard]] bool supported() noexcept;
[[nodiscard]] LaneMask run(const PrivateKey& scalar, std::span<const PublicKey> points,
                           std::span<SharedSecret> shared) noexcept;
}  // namespace x25519_eight_lanes

}  // namespace allium::crypto_accel
