// SPDX-License-Identifier: Apache-2.0
#pragma once

// A node's record: its onion keys of the coming hours and its endpoints, signed by its own identity, so
// that nobody has to sign for everybody every hour. Canonical text as the network document (FORMAT.md).
//
//   Units      validity in Unix seconds, hours as in SPEC.md section 3.
//   Ownership  values.
//   Errors     Errc::malformed, Errc::bad_signature, Errc::stale.
//   Threads    reentrant.
//   Limits     kRecordHoursMax keys, of hours that follow each other.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/ed25519.hpp"
#include "control/network/network_document.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::control {

inline constexpr std::size_t kRecordHoursMax = 8;

struct OnionKey {
  std::uint64_t hour = 0;
  crypto_accel::PublicKey public_key{};

  bool operator==(const OnionKey&) const = default;
};

struct NodeRecord {
  IdentityKey identity{};
  std::uint64_t number = 0;  ///< rises with every record of a node
  std::uint64_t valid_from_s = 0;
  std::uint64_t valid_until_s = 0;
  std::vector<onion::Endpoint> endpoints;  ///< as in the network document
  std::vector<OnionKey> keys;              ///< at least one; hours follow each other

  bool operator==(const NodeRecord&) const = default;

  /// Null where there is no key of that hour.
  [[nodiscard]] const crypto_accel::PublicKey* key_of(std::uint64_t hour) const noexcept;
};

/// The canonical text without signature. Errc::malformed where the content breaks a rule.
[[nodiscard]] Result<std::string> serialise(const NodeRecord& record);

/// Accepts exactly what serialise() gives.
[[nodiscard]] Result<NodeRecord> parse_node_record(std::string_view text);

struct SignedNodeRecord {
  std::string text;
  Signature signature{};
};

/// Requires that `identity` is the record's. Errc::malformed as serialise().
[[nodiscard]] Result<SignedNodeRecord> sign(const NodeRecord& record,
                                            const IdentitySecret& identity);

/// The record is that of `identity`, signed by it, valid at `now_s`, has a key of that hour or a later one, and its number is at
/// least `known_number` (0: none is known). Another identity: Errc::bad_signature.
[[nodiscard]] Result<NodeRecord> verify(const SignedNodeRecord& record, const IdentityKey& identity,
                                        std::uint64_t now_s, std::uint64_t known_number);

}  // namespace allium::control
