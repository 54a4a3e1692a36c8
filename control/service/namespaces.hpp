// SPDX-License-Identifier: Apache-2.0
#pragma once

// The rules of message namespaces (session storage RPC): who may read and write follows from the number.

#include <optional>
#include <string>

#include "storage/message_store.hpp"

namespace allium::control {

using storage::Namespace;

/// Anyone may write: 0, 10, -10, 20 ...
[[nodiscard]] constexpr bool is_public_inbox(Namespace space) noexcept {
  return space % 10 == 0;
}

/// Anyone may read, and only the newest message is kept: -1, -21, -41 ...
[[nodiscard]] constexpr bool is_public_outbox(Namespace space) noexcept {
  return space < 0 && (space + 1) % 20 == 0;
}

/// A revoked subaccount may still read: -11, -111, -211 ...
[[nodiscard]] constexpr bool is_unrevocable(Namespace space) noexcept {
  return space < 0 && (space + 11) % 100 == 0;
}

/// Legacy closed groups cannot sign.
inline constexpr Namespace kLegacyGroups = -10;

[[nodiscard]] constexpr bool is_read_by_anyone(Namespace space) noexcept {
  return space == kLegacyGroups || is_public_outbox(space);
}

/// As signatures and hashes have it: nothing for the default one.
[[nodiscard]] inline std::string signed_text(Namespace space) {
  return space == 0 ? std::string() : std::to_string(space);
}

/// A namespace, or none: all of them.
using Spaces = std::optional<Namespace>;

[[nodiscard]] inline std::string signed_text(const Spaces& spaces) {
  return spaces ? signed_text(*spaces) : "all";
}

}  // namespace allium::control
