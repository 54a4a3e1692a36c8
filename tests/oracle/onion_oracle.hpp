// SPDX-License-Identifier: Apache-2.0
#pragma once

// The slow twin of crypto_accel: SPEC.md sections 2 and 4 to 8 written down once more, straight
// from the text, over OpenSSL's AES-128 on single blocks and a field product of one bit at a time.
// It shares no code with the kernels but the words of bytes.hpp. For tests only: neither fast, nor
// constant in time, nor wiped.
//
//   Ownership  everything is a value.
//   Errors     std::runtime_error where OpenSSL refuses; std::invalid_argument where a length is
//   wrong.

#include <cstdint>
#include <vector>

#include "crypto_accel/base/bytes.hpp"

namespace allium::oracle {

using ByteVector = std::vector<std::uint8_t>;

[[nodiscard]] Block aes_encrypt(const Block& key, const Block& plain);
[[nodiscard]] Block aes_decrypt(const Block& key, const Block& cipher);

/// The first `byte_count` bytes of the CTR stream (2.1).
[[nodiscard]] ByteVector ctr(const Block& key, const Block& iv, std::size_t byte_count);

[[nodiscard]] Block field_product(const Block& a, const Block& b);
[[nodiscard]] Block ghash(const Block& h, Bytes a, Bytes c);
[[nodiscard]] Block cbcmac(const Block& key, Bytes message);
[[nodiscard]] Block cmac(const Block& key, Bytes message);

/// derive(k, j, dir, class) of section 5.
[[nodiscard]] Block derive(const Block& key, std::uint8_t index, std::uint8_t direction,
                           std::uint8_t packet_class);

struct LayerKeys {
  Block k_et;
  Block k_s;
  Block k_m;
  Block h;
  Block h_s;
};

[[nodiscard]] LayerKeys layer_keys(const Block& secret, std::uint8_t direction,
                                   std::uint8_t packet_class);

[[nodiscard]] Block layer_ctx(std::uint8_t direction, std::uint8_t packet_class,
                              std::uint16_t slot);

/// One layer before or after: the block T, and X_R, with what lay between.
struct Layer {
  Block x_l{};
  ByteVector x_r;
  Block v{};
  Block w{};
};

[[nodiscard]] Layer encrypt_layer(const LayerKeys& keys, const Block& ctx, const Block& x_l,
                                  Bytes x_r);
[[nodiscard]] Layer decrypt_layer(const LayerKeys& keys, const Block& ctx, const Block& x_l,
                                  Bytes x_r);

/// Z of `byte_count` bytes: forward from W, backward from the class alone (section 7).
[[nodiscard]] ByteVector header_mask(const LayerKeys& keys, std::uint8_t direction,
                                     std::uint8_t packet_class, const Block& w,
                                     std::size_t byte_count);

/// AHDR' of section 8.
[[nodiscard]] ByteVector shift_header(Bytes ahdr, Bytes mask);

/// γ of D and V (section 8): `after` is X_L' forward, zero backward.
[[nodiscard]] Block header_mac(const LayerKeys& keys, const Block& ctx, Bytes ahdr,
                               const Block& after);

[[nodiscard]] std::uint64_t replay_tag(const Block& replay_key, const LayerKeys& keys,
                                       const Block& t);

/// The tag of the datagram LL ‖ HR ‖ T ‖ …, HR veiled (section 4).
[[nodiscard]] std::uint64_t link_tag(const Block& mac_key, Bytes datagram,
                                     std::size_t header_bytes);

/// HR of the datagram with the veil put on or taken off.
[[nodiscard]] ByteVector link_veil(const Block& veil_key, Bytes datagram, std::size_t header_bytes);

/// The 12 bytes of the last link (section 8).
[[nodiscard]] ByteVector client_tag(const LayerKeys& keys, std::uint8_t packet_class,
                                    std::uint16_t slot, const Block& x_l);

}  // namespace allium::oracle
