// SPDX-License-Identifier: Apache-2.0
#include "control/service/internal/message_hash.hpp"

#include <array>

#include <sodium.h>

#include "control/service/encoding.hpp"

namespace allium::control::internal {

std::string message_hash(const storage::Account& account, Namespace space, std::string_view data) {
  const std::string space_text = signed_text(space);
  std::array<std::uint8_t, 32> hash;
  crypto_generichash_state state;
  crypto_generichash_init(&state, nullptr, 0, hash.size());
  crypto_generichash_update(&state, account.data(), account.size());
  crypto_generichash_update(&state, bytes_of(space_text).data(), space_text.size());
  crypto_generichash_update(&state, bytes_of(data).data(), data.size());
  crypto_generichash_final(&state, hash.data(), hash.size());
  return to_base64(hash, Padding::without);
}

}  // namespace allium::control::internal
