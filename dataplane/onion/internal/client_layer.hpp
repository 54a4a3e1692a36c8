// SPDX-License-Identifier: Apache-2.0
#pragma once

// One layer as the client undoes it (SPEC.md sections 5 and 7). Relays never do this.
//
//   Ownership  LayerKeys owns its keys and wipes them.
//   Threads    reentrant.
//   Timing     constant in keys and data.

#include <cstdint>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion::internal {

/// derive(k, j, dir, class), section 5.
[[nodiscard]] Block derive(const Block& key, std::uint8_t index, Direction direction,
                           std::uint8_t class_byte) noexcept;

/// The five keys of one layer in one direction and class.
struct LayerKeys {
  LayerKeys() noexcept = default;
  LayerKeys(const Block& secret, Direction direction, PacketClass packet_class) noexcept;
  LayerKeys(const LayerKeys&) = delete;
  LayerKeys& operator=(const LayerKeys&) = delete;
  LayerKeys(LayerKeys&&) = delete;
  LayerKeys& operator=(LayerKeys&&) = delete;
  ~LayerKeys();

  void set(const Block& secret, Direction direction, PacketClass packet_class) noexcept;

  Block encrypt_left{};  ///< K_et
  Block stream{};        ///< K_s
  Block mac{};           ///< K_m
  Block hash{};          ///< H
  Block hash_seed{};     ///< H_s
};

/// W of a layer from its left half as it came in; undoes the right half in place. Neither depends on the
/// slot, so a search over slots does this once.
[[nodiscard]] Block undo_right(const LayerKeys& keys, const Block& x_l, MutableBytes x_r) noexcept;

/// X_L from X_L' and the X_R that undo_right left, under one context.
[[nodiscard]] Block undo_left(const LayerKeys& keys, const Block& ctx, const Block& x_l,
                              Bytes x_r) noexcept;

/// Z forward, 32r bytes, from W. `mask` is overwritten.
void forward_mask(const LayerKeys& keys, const Block& w, MutableBytes mask) noexcept;

/// Z backward, 32r bytes. `mask` is overwritten.
void backward_mask(const LayerKeys& keys, PacketClass packet_class, MutableBytes mask) noexcept;

}  // namespace allium::onion::internal
