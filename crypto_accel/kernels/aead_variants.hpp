// SPDX-License-Identifier: Apache-2.0
#pragma once

// The functions of both AEAD variants, for the list of them.

#include "crypto_accel/aead_batch.hpp"

namespace allium::crypto_accel {

namespace aead_one_by_one {
[[nodiscard]] bool supported() noexcept;
void open(std::span<AeadJob> jobs) noexcept;
void seal(std::span<AeadJob> jobs) noexcept;
}  // namespace aead_one_by_one

namespace aead_ipsec_mb {
[[nodiscard]] bool supported() noexcept;
void open(std::span<AeadJob> jobs) noexcept;
void seal(std::span<AeadJob> jobs) noexcept;
}  // namespace aead_ipsec_mb

}  // namespace allium::crypto_accel
