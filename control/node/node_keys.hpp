// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys of one node and their lives (SPEC.md section 3): made ahead of time, erased on schedule.
//
//   epoch keys  of e and e - 1, and of e + 1 from kKeyLeadSeconds before it begins; erased at the end of
//               the epoch after their own.
//   onion keys  of h and h + 1, of h + 2 from kKeyLeadSeconds before hour h + 1, of h - 1 for 600 s.
//
//   Units      now_ms is Unix time in milliseconds.
//   Ownership  owns its keys and wipes them; borrows the random source, which outlives it.
//   Errors     none but those of make_record.
//   Threads    one.
//   Limits     three epochs and three hours at a time: a clock that steps back or far ahead makes new keys
//              for where it is, never the old ones again.

#include <cstdint>
#include <span>
#include <vector>

#include "control/network/ed25519.hpp"
#include "control/network/node_record.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/relay_snapshot.hpp"

namespace allium::control {

/// Well above the 16 s that SPEC.md asks for: time to publish records, and to derive links.
inline constexpr std::uint64_t kKeyLeadSeconds = 120;

class NodeKeys {
 public:
  /// Keys are made by the first advance().
  NodeKeys(IdentitySecret identity, Random random);

  [[nodiscard]] const IdentitySecret& identity() const noexcept { return identity_; }

  /// Makes what is due and erases what is over. True where a key was made or erased.
  bool advance(std::uint64_t now_ms);

  [[nodiscard]] std::span<const onion::EpochSecrets> epochs() const noexcept { return epochs_; }

  [[nodiscard]] std::span<const onion::HourKey> hours() const noexcept { return hours_; }

  /// Null where there is none.
  [[nodiscard]] const onion::HourKey* hour(std::uint64_t hour) const noexcept;

  /// A record of all hours here, signed. Requires that advance() was called. `number` rises from record to
  /// record.
  [[nodiscard]] Result<SignedNodeRecord> make_record(std::vector<onion::Endpoint> endpoints,
                                                     std::uint64_t number,
                                                     std::uint64_t now_ms) const;

 private:
  bool erase_old(std::uint64_t now_ms);
  bool make_epoch(std::uint64_t epoch);
  bool make_hour(std::uint64_t hour);

  IdentitySecret identity_;
  Random random_;
  std::vector<onion::EpochSecrets> epochs_;  ///< rising
  std::vector<onion::HourKey> hours_;        ///< rising
};

/// The next moment at which keys of nodes or the epochs of their links change: when to call advance() and to
/// publish. Later than `now_ms`.
[[nodiscard]] std::uint64_t next_key_change_ms(std::uint64_t now_ms) noexcept;

}  // namespace allium::control
