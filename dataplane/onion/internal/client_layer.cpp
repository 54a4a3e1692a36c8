// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/internal/client_layer.hpp"

#include <algorithm>

#include "crypto_accel/primitives.hpp"

namespace allium::onion::internal {

using crypto_accel::aes_decrypt;
using crypto_accel::aes_encrypt;
using crypto_accel::ctr_xor;
using crypto_accel::field_product;
using crypto_accel::ghash;

Block derive(const Block& key, std::uint8_t index, Direction direction,
             std::uint8_t class_byte) noexcept {
  Block label{};
  label[0] = index;
  label[1] = static_cast<std::uint8_t>(direction);
  label[2] = class_byte;
  return aes_encrypt(key, label);
}

LayerKeys::LayerKeys(const Block& secret, Direction direction, PacketClass packet_class) noexcept {
  set(secret, direction, packet_class);
}

LayerKeys::~LayerKeys() {
  wipe(this, sizeof(*this));
}

void LayerKeys::set(const Block& secret, Direction direction, PacketClass packet_class) noexcept {
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  encrypt_left = derive(secret, 1, direction, class_byte);
  stream = derive(secret, 2, direction, class_byte);
  mac = derive(secret, 3, direction, class_byte);
  hash = derive(secret, 4, direction, class_byte);
  hash_seed = derive(secret, 5, direction, class_byte);
}

Block undo_right(const LayerKeys& keys, const Block& x_l, MutableBytes x_r) noexcept {
  const Block w = field_product(x_l, keys.hash_seed);
  Block seed = w;
  seed[15] = 0;
  ctr_xor(keys.stream, seed, x_r);
  return w;
}

Block undo_left(const LayerKeys& keys, const Block& ctx, const Block& x_l, Bytes x_r) noexcept {
  const Block m = ghash(keys.hash, ctx, x_r);
  return aes_decrypt(keys.encrypt_left, x_l ^ m) ^ m;
}

void forward_mask(const LayerKeys& keys, const Block& w, MutableBytes mask) noexcept {
  Block seed = w;
  seed[15] = 0x80;
  std::fill(mask.begin(), mask.end(), std::uint8_t{0});
  ctr_xor(keys.stream, seed, mask);
}

void backward_mask(const LayerKeys& keys, PacketClass packet_class, MutableBytes mask) noexcept {
  Block seed{};
  seed[0] = 0x5A;
  seed[1] = static_cast<std::uint8_t>(packet_class);
  seed[15] = 0x80;
  std::fill(mask.begin(), mask.end(), std::uint8_t{0});
  ctr_xor(keys.stream, seed, mask);
}

}  // namespace allium::onion::internal
