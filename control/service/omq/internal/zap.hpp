// SPDX-License-Identifier: Apache-2.0
#pragma once

// ZeroMQ's authentication (ZAP, RFC 27): libzmq asks about each new connection, and what is answered as User-Id comes with every
// message of it. Without it nobody has a key. Pure functions; the socket is Listener's.
//
//   Threads  reentrant.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

inline constexpr const char* kZapName = "inproc://zeromq.zap.01";
inline constexpr std::string_view kZapDomain = "allium";

/// May this key open one more connection, from an address as libzmq writes it?
using Admit = std::function<bool(const X25519Key& key, const std::string& address)>;

/// The frames of the reply to `question`: 200 and the key as User-Id for a CURVE client of our domain that `admit` lets in, 300 for
/// one that it does not, 400 for everybody else. Requires its first two frames: nobody but libzmq's own thread can ask.
[[nodiscard]] std::vector<std::string> zap_reply(std::span<const std::string> question,
                                                 const Admit& admit);

/// The key as zap_reply() gives it for User-Id. Nothing: not 64 digits of hex.
[[nodiscard]] std::optional<X25519Key> key_of_user_id(std::string_view user_id) noexcept;

}  // namespace allium::control
