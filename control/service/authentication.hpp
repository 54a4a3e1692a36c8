// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who signed a request, and whether he may: accounts and their subaccounts (session storage RPC, sections "Common
// parameters" and "Subaccount token").
//
//   Ownership  values.
//   Threads    reentrant.
//   Timing     signatures and public keys are public; nothing here is secret.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "control/network/ed25519.hpp"
#include "storage/account.hpp"
#include "storage/message_store.hpp"

namespace allium::control {

using storage::Account;
using storage::Token;

/// Bits of a subaccount token.
enum class Access : std::uint8_t { none = 0, read = 1, write = 2, remove = 4 };

[[nodiscard]] constexpr Access operator|(Access left, Access right) noexcept {
  return static_cast<Access>(static_cast<unsigned>(left) | static_cast<unsigned>(right));
}

[[nodiscard]] bool grants(const Token& token, Access wanted) noexcept;

struct Subaccount {
  Token token{};
  Signature signature{};  ///< the account's, of the token
};

struct Authentication {
  Account account{};
  std::optional<IdentityKey> ed25519;  ///< of an 05 account: its id is the X25519 form of this
  std::optional<Signature> signature;
  std::optional<Subaccount> subaccount;
};

/// The signature is the account's, or a subaccount's that it gave `wanted` and has not revoked. `revoked` is empty
/// where revocation does not count.
[[nodiscard]] bool holds(const Authentication& who, std::string_view message, Access wanted,
                         const std::vector<Token>& revoked) noexcept;

}  // namespace allium::control
