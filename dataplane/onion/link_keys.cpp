// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/link_keys.hpp"

#include <algorithm>
#include <string_view>

#include "crypto_accel/primitives.hpp"

namespace allium::onion {
namespace {

constexpr std::string_view kSalt = "allium1 link";
constexpr std::string_view kLabel = "keys";
constexpr std::size_t kInfoBytes = kLabel.size() + 32 + 32 + 4 + 4 + 8;

Bytes bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void derive_direction(const crypto_accel::SharedSecret& shared, const LinkEnd& from,
                      const LinkEnd& to, std::uint64_t epoch, Secret<16>& mac,
                      Secret<16>& veil) noexcept {
  std::array<std::uint8_t, kInfoBytes> info{};
  std::uint8_t* at = std::copy(kLabel.begin(), kLabel.end(), info.data());
  at = std::copy(from.onion_key.begin(), from.onion_key.end(), at);
  at = std::copy(to.onion_key.begin(), to.onion_key.end(), at);
  store_be(at, from.id, 4);
  store_be(at + 4, to.id, 4);
  store_be(at + 8, epoch, 8);
  Secret<32> keys;
  crypto_accel::hkdf_sha256(bytes_of(kSalt), shared, info, keys.bytes());
  std::copy_n(keys.data(), 16, mac.data());
  std::copy_n(keys.data() + 16, 16, veil.data());
}

}  // namespace

std::optional<LinkSecrets> derive_link_secrets(const crypto_accel::PrivateKey& own_private,
                                               const LinkEnd& own, const LinkEnd& peer,
                                               std::uint64_t epoch) noexcept {
  crypto_accel::SharedSecret shared{};
  const bool sound = crypto_accel::x25519(own_private, peer.onion_key, shared);
  std::optional<LinkSecrets> link;
  if (sound) {
    link.emplace();
    link->epoch = epoch;
    derive_direction(shared, peer, own, epoch, link->in_mac, link->in_veil);
    derive_direction(shared, own, peer, epoch, link->out_mac, link->out_veil);
  }
  wipe(shared.data(), shared.size());
  return link;
}

}  // namespace allium::onion
