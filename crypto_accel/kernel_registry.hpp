// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which variant of each kernel this process runs: chosen once at start, overridden from outside by
// ALLIUM_KERNEL=onion=NAME,x25519=NAME,aead=NAME, and tried on known answers before the first packet.
//
//   Threads    select_kernels is called once, before any worker starts; the rest is read-only.

#include <string>
#include <string_view>

#include "crypto_accel/aead_batch.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::crypto_accel {

struct KernelSet {
  const OnionKernel* onion;
  const X25519Kernel* x25519;
  const AeadKernel* aead;
};

/// The best supported variants, or those that `wish` names ("onion=ipsec-mb,aead=one-by-one", any
/// part may be missing, empty = best). Fails with Errc::unavailable on a CPU without AES-NI, PCLMUL
/// and SSE4.2 or on a variant that this CPU cannot run, Errc::not_found on an unknown kernel or name;
/// the text lists what there is.
[[nodiscard]] Result<KernelSet> select_kernels(std::string_view wish);

/// select_kernels with the value of the environment variable ALLIUM_KERNEL, then self_test.
[[nodiscard]] Result<KernelSet> kernels_from_environment();

/// Runs one known answer through every function of the set; Errc::internal names what differed.
[[nodiscard]] Result<void> self_test(const KernelSet& kernels);

/// One line a variant: kernel, name, whether supported, whether chosen, description. For --kernels.
[[nodiscard]] std::string describe_kernels(const KernelSet& chosen);

}  // namespace allium::crypto_accel
