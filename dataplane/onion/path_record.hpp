// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a client knows of the hops of a path, and how it learns it: the record REC that comes back in
// the answer to an S1 packet (SPEC.md section 10, "Client, accepting REC").
//
//   Ownership  every object owns its secrets and wipes them.
//   Errors     open_record says nullopt: discard the path. There is no better reason to give, since
//              any hop can have spoilt it.
//   Threads    reentrant.
//   Timing     constant in secrets; the 256 bytes are compared whole.
//   Limits     1 to kHopsMax hops.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

/// What building an S packet leaves behind for one hop (section 5).
struct SetupHopKeys {
  Secret<16> k_ret;  ///< opens R packets
  Secret<16> k_rec;  ///< opens the record; S1
};

/// One hop of an open path: what D and V packets are built from.
struct HopSession {
  Block segment_forward{};   ///< FS_f
  Block segment_backward{};  ///< FS_b
  Secret<16> secret;         ///< s
};

/// An open path, entry first.
struct PathSession {
  std::size_t hop_count = 0;
  std::array<HopSession, kHopsMax> hop;

  [[nodiscard]] std::span<const HopSession> hops() const noexcept {
    return std::span<const HopSession>(hop).first(hop_count);
  }
};

using Record = std::array<std::uint8_t, kRecordBytes>;

/// Undoes the masks from the terminal back, then runs every hop's step again from `first` (REC_0) and
/// compares all 256 bytes with `received` (REC_n). Hops are entry first. Nullopt where they differ.
/// Requires 1 <= hops.size() <= kHopsMax.
[[nodiscard]] std::optional<PathSession> open_record(std::span<const SetupHopKeys> hops,
                                                     const Record& first,
                                                     const Record& received) noexcept;

}  // namespace allium::onion
