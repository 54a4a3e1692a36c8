// SPDX-License-Identifier: Apache-2.0
#pragma once

// Onion kernels that are wrong in one way and right in all others: a real kernel behind a table whose
// functions differ where the flaw is.
//
//   Threads    as the kernel behind; a FlawedMoment is that of the thread that set it.

#include <cstdint>

#include "crypto_accel/kernel_registry.hpp"
#include "tests/property/flaw.hpp"

namespace allium::property {

/// The kernels that the environment chooses (ALLIUM_KERNEL).
[[nodiscard]] const crypto_accel::KernelSet& sound_kernels();

/// The chosen onion kernel, or one around it that has the flaw. Flaws that are no kernel's change nothing.
[[nodiscard]] const crypto_accel::OnionKernel& kernel_with(Flaw flaw);

/// What a kernel does not know of the relay that calls it, and some flaws need.
struct FlawedMoment {
  std::uint64_t now_ms = 0;
  bool is_receiving = false;  ///< in admit()
};

void set_flawed_moment(const FlawedMoment& moment) noexcept;

}  // namespace allium::property
