// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sealing and opening many texts at once, each under a key of its own: the layers of onion requests that a node
// got together (RFC 8439, SP 800-38D, draft-irtf-cfrg-xchacha). No associated data.
//
//   Units      sizes are bytes; a batch is counted in jobs, of any kinds and sizes, in any number.
//   Ownership  the caller owns every buffer; nothing is kept after the call returns. Keys derived and schedules
//              are wiped before that.
//   Errors     a batch never fails; a job does: its tag is wrong, and its target is zeroed.
//   Threads    reentrant; one manager of ipsec-mb a thread, made at its first call.
//   Timing     constant in keys, nonces and texts; it varies with kinds, sizes, and which jobs failed.
//   Limits     kAeadTextBytesMax a text.
//   Cost       README.md, "Cost".

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "crypto_accel/base/bytes.hpp"

namespace allium::crypto_accel {

inline constexpr std::size_t kAeadKeyBytes = 32;
inline constexpr std::size_t kAeadTagBytes = 16;
inline constexpr std::size_t kAeadTextBytesMax = std::size_t{64} << 20;

enum class AeadKind : std::uint8_t { aes256_gcm, xchacha20_poly1305 };

[[nodiscard]] constexpr std::size_t aead_nonce_bytes(AeadKind kind) noexcept {
  return kind == AeadKind::aes256_gcm ? 12 : 24;
}

/// One text. `source` and `target` begin at the same address or do not overlap; the tag is behind the ciphertext.
struct AeadJob {
  AeadKind kind = AeadKind::aes256_gcm;
  const std::uint8_t* key = nullptr;    ///< kAeadKeyBytes
  const std::uint8_t* nonce = nullptr;  ///< aead_nonce_bytes(kind)
  Bytes source;
  MutableBytes target;
  bool is_good = false;  ///< the answer: the tag is right; always true after sealing
};

/// One variant; `name` is what ALLIUM_KERNEL=aead=NAME accepts. Call it through the functions below.
struct AeadKernel {
  std::string_view name;
  std::string_view description;
  bool (*supported)() noexcept;
  void (*open)(std::span<AeadJob> jobs) noexcept;
  void (*seal)(std::span<AeadJob> jobs) noexcept;
};

/// Requires source.size() == target.size() + kAeadTagBytes of every job. Targets of bad jobs hold zeros.
void aead_open(const AeadKernel& kernel, std::span<AeadJob> jobs) noexcept;

/// Requires target.size() == source.size() + kAeadTagBytes of every job.
void aead_seal(const AeadKernel& kernel, std::span<AeadJob> jobs) noexcept;

/// Every variant built in, the portable one first.
[[nodiscard]] std::span<const AeadKernel> aead_kernels() noexcept;

}  // namespace allium::crypto_accel
