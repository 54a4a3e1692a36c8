// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network document: which relays there are, signed by the authorities of the network. One
// canonical text (FORMAT.md); other spellings of the same content are refused.
//
//   Units      times are Unix seconds, UTC.
//   Ownership  values.
//   Errors     Errc::malformed (not the canonical text, a bound, two relays with one identity, relay id,
//              name or endpoint), Errc::bad_signature (unsigned, too few), Errc::stale (not valid yet or
//              any more, or older than what is known).
//   Threads    reentrant.
//   Limits     kRelaysMax relays, kEndpointsMax endpoints each, kSignaturesMax signatures.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/network/ed25519.hpp"
#include "control/network/swarm_map.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "dataplane/onion/relay_snapshot.hpp"

namespace allium::control {

inline constexpr std::size_t kRelaysMax = onion::kPeersMax;
inline constexpr std::size_t kEndpointsMax = 4;
inline constexpr std::size_t kNameCharsMax = 32;
inline constexpr std::size_t kSignaturesMax = 16;

/// The clocks of relays and authorities agree to this (SPEC.md section 3).
inline constexpr std::uint64_t kClockSkewSeconds = 2;

/// What a relay is besides: a service node, which keeps messages.
struct ServiceEntry {
  SwarmId swarm = kNoSwarm;  ///< kNoSwarm: not assigned yet
  std::uint16_t https_port = 0;
  std::uint16_t omq_port = 0;

  bool operator==(const ServiceEntry&) const = default;
};

struct RelayEntry {
  IdentityKey identity{};
  std::string name;  ///< a label for people, may be empty: a-z, 0-9 and '-'; unique where not empty
  /// At least one; no address twice. The first is the one that other relays send to and from; all have one
  /// onion port.
  std::vector<onion::Endpoint> endpoints;
  /// On the addresses of the endpoints, under the relay's identity. None: it only forwards packets.
  std::optional<ServiceEntry> service;

  bool operator==(const RelayEntry&) const = default;

  [[nodiscard]] std::uint32_t id() const noexcept { return relay_id(identity); }
};

struct NetworkDocument {
  std::uint64_t serial = 0;  ///< rises with every document of a network
  std::uint64_t valid_from_s = 0;
  std::uint64_t valid_until_s = 0;  ///< first second at which it is not valid
  std::vector<RelayEntry> relays;   ///< by identity, rising

  bool operator==(const NetworkDocument&) const = default;
};

/// The canonical text. Fails with Errc::malformed where the content breaks a rule above (relays need not
/// be sorted; they are written sorted).
[[nodiscard]] Result<std::string> serialise(const NetworkDocument& document);

/// Accepts exactly what serialise() gives.
[[nodiscard]] Result<NetworkDocument> parse_network_document(std::string_view text);

struct AuthoritySignature {
  IdentityKey authority{};
  Signature signature{};

  bool operator==(const AuthoritySignature&) const = default;
};

/// The text with its detached signatures; nothing is checked yet.
struct SignedNetworkDocument {
  std::string text;
  std::vector<AuthoritySignature> signatures;  ///< by authority, rising; one an authority
};

/// Adds or replaces the signature of `authority`.
void sign(SignedNetworkDocument& document, const IdentitySecret& authority);

/// Who may sign, and how many of them must.
struct Authorities {
  std::vector<IdentityKey> keys;
  std::size_t threshold = 1;
};

/// Signatures, then the text, then validity at `now_s`, then serial >= `known_serial` (0: none is
/// known).
[[nodiscard]] Result<NetworkDocument> verify(const SignedNetworkDocument& document,
                                             const Authorities& authorities, std::uint64_t now_s,
                                             std::uint64_t known_serial);

}  // namespace allium::control
