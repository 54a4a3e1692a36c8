// SPDX-License-Identifier: Apache-2.0
#include "control/service/authentication.hpp"

#include <algorithm>

#include <sodium.h>

#include "control/service/encoding.hpp"

namespace allium::control {
namespace {

// Byte 0 is the prefix of the account, byte 1 the flags, bytes 4 to 35 the subaccount's key.
constexpr std::size_t kFlagsOffset = 1;
constexpr std::size_t kKeyOffset = 4;
constexpr std::uint8_t kAnyPrefix = 8;
constexpr std::uint8_t kSessionPrefix = 0x05;

std::optional<IdentityKey> account_key(const Authentication& who) noexcept {
  IdentityKey key;
  std::copy(who.account.begin() + 1, who.account.end(), key.begin());
  if (who.account[0] != kSessionPrefix || !who.ed25519) {
    return key;
  }
  IdentityKey converted;
  if (crypto_sign_ed25519_pk_to_curve25519(converted.data(), who.ed25519->data()) != 0 ||
      converted != key) {
    return std::nullopt;
  }
  return who.ed25519;
}

}  // namespace

bool grants(const Token& token, Access wanted) noexcept {
  const auto bits = static_cast<std::uint8_t>(wanted);
  return (token[kFlagsOffset] & bits) == bits;
}

bool holds(const Authentication& who, std::string_view message, Access wanted,
           const std::vector<Token>& revoked) noexcept {
  std::optional<IdentityKey> key = account_key(who);
  if (!key || !who.signature) {
    return false;
  }
  if (who.subaccount) {
    const Token& token = who.subaccount->token;
    const bool is_ours = token[0] == who.account[0] || (token[kFlagsOffset] & kAnyPrefix) != 0;
    if (!is_ours || !grants(token, wanted) ||
        std::find(revoked.begin(), revoked.end(), token) != revoked.end() ||
        !signature_holds(*key, token, who.subaccount->signature)) {
      return false;
    }
    std::copy(token.begin() + kKeyOffset, token.end(), key->begin());
  }
  return signature_holds(*key, bytes_of(message), *who.signature);
}

}  // namespace allium::control
