// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client's onion request to a Session service node (session onion requests v2): the body of POST /onion_req/v2 to the first
// node of a path, whose last node is meant, and the way back.
//
//   Units      bytes.
//   Ownership  values; the request owns what opens its answer, and wipes it. It can be moved, not copied.
//   Errors     Errc::out_of_range (path, size), Errc::malformed (a key of low order; an answer that is none),
//              Errc::bad_signature (an answer that does not open).
//   Threads    reentrant; `random` is the caller's.
//   Limits     kSessionHopsMax nodes, kSessionBodyBytesMax bytes of body: what nodes accept.
//   Cost       two multiplications of X25519 a node.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "control/network/ed25519.hpp"
#include "control/service/channel_cipher.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/x25519_batch.hpp"

namespace allium::client {

inline constexpr std::size_t kSessionHopsMax = 15;
inline constexpr std::size_t kSessionBodyBytesMax = std::size_t{10} << 20;

/// A node of a path: its name in onion requests, and the key that layers are sealed to.
struct SessionHop {
  control::IdentityKey ed25519{};
  crypto_accel::PublicKey x25519{};
};

/// With the X25519 key that belongs to it. Errc::malformed: a key of low order.
[[nodiscard]] Result<SessionHop> session_hop(const control::IdentityKey& ed25519);

struct SessionOnion {
  std::string body;  ///< of POST /onion_req/v2, for the first node of the path

  /// What the answer is sealed with: the last node's key and the client's ephemeral one for it.
  control::Channel end;
  control::EncryptType type = control::EncryptType::aes_gcm;
};

/// What the last node said.
struct SessionAnswer {
  int status = 0;    ///< of the storage RPC: 200, 421 ...
  std::string body;  ///< JSON text where the status is 200 or 421, else mostly plain text
};

/// `path`: entry first, 1 to kSessionHopsMax nodes; `request_json`: {"method": ..., "params": {...}}. All layers are of one
/// `type`, each under an ephemeral key of its own.
[[nodiscard]] Result<SessionOnion> build_session_onion(std::span<const SessionHop> path,
                                                       std::string_view request_json,
                                                       control::EncryptType type,
                                                       const Random& random);

/// Opens the body of an answer whose HTTP status is 200. With other statuses a node of the path says in plain text what is
/// wrong with the path, and nothing is to be opened.
[[nodiscard]] Result<SessionAnswer> open_session_answer(const SessionOnion& onion,
                                                        std::string_view http_body);

}  // namespace allium::client
