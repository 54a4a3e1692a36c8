// SPDX-License-Identifier: Apache-2.0
#pragma once

// All the cryptography of a hop in the middle of a path, from the link tag that comes in to the link tag that goes out,
// in the relay's order (SPEC.md section 9), and nothing else of a relay: no verdicts, routes or replay set.
//
//   Ownership  owns its keys; borrows datagrams during a call.
//   Threads    one.
//   Limits     forward packets of classes D and V, all of one class.

#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_accel/onion_batch.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

/// The keys of the links that a packet comes and goes by.
struct ChainLinkKeys {
  Block mac_in{};
  Block veil_in{};
  Block mac_out{};
  Block veil_out{};
};

/// Every lane has links of its own.
struct ChainKeys {
  Block segment{};
  Block secret{};
  Block replay{};
  crypto_accel::Lanes<ChainLinkKeys> links{};
};

class OnionChain {
 public:
  /// Requires kernel.supported() and class d or v.
  OnionChain(const crypto_accel::OnionKernel& kernel, onion::PacketClass packet_class,
             std::uint64_t slot, const ChainKeys& keys);

  /// One hop for every datagram, in place; at most kLanesMax. The first 8 bytes of the link header stay as they are.
  void run(std::span<std::uint8_t* const> datagrams) noexcept;

  /// What the last run found for a lane: the tag that the incoming link header should have, and the header's MAC.
  [[nodiscard]] std::uint64_t tag_in(std::size_t lane) const noexcept { return tag_in_[lane]; }

  [[nodiscard]] const Block& header_mac(std::size_t lane) const noexcept { return mac_[lane]; }

 private:
  static constexpr std::size_t kMessageBytesMax = 3 * kBlockBytes + 96;  // ctx, FS, beta of D, X_L'

  void point_at(std::span<std::uint8_t* const> datagrams) noexcept;
  void open_segments(crypto_accel::LaneMask lanes) noexcept;
  void check_headers(crypto_accel::LaneMask lanes) noexcept;

  crypto_accel::OnionBatch batch_;
  onion::TypeInfo info_;
  crypto_accel::LayerShape shape_;
  crypto_accel::AesKey segment_key_{};
  crypto_accel::AesKey secret_key_{};
  crypto_accel::AesKey replay_key_{};
  crypto_accel::Lanes<crypto_accel::LinkKey> link_in_{};
  crypto_accel::Lanes<crypto_accel::LinkKey> link_out_{};
  crypto_accel::Lanes<const crypto_accel::LinkKey*> link_in_at_{};
  crypto_accel::Lanes<const crypto_accel::LinkKey*> link_out_at_{};
  crypto_accel::Lanes<const crypto_accel::AesKey*> replay_at_{};
  crypto_accel::Lanes<Block> ctx_{};

  // Of the burst in work.
  crypto_accel::Lanes<std::uint8_t*> datagram_{};
  crypto_accel::Lanes<std::uint8_t*> header_{};
  crypto_accel::Lanes<std::uint8_t*> x_r_{};
  crypto_accel::Lanes<const std::uint8_t*> datagram_read_{};
  crypto_accel::Lanes<const std::uint8_t*> header_read_{};
  crypto_accel::Lanes<const std::uint8_t*> t_read_{};
  crypto_accel::Lanes<const std::uint8_t*> x_r_read_{};
  crypto_accel::Lanes<const std::uint8_t*> message_at_{};
  crypto_accel::Lanes<std::array<std::uint8_t, kMessageBytesMax>> message_{};
  crypto_accel::Lanes<Block> plain_{};
  crypto_accel::Lanes<Block> input_{};
  crypto_accel::Lanes<Block> secret_{};
  crypto_accel::Lanes<Block> x_l_out_{};
  crypto_accel::Lanes<Block> mac_{};
  crypto_accel::Lanes<Block> w_{};
  crypto_accel::Lanes<std::uint64_t> tag_in_{};
  crypto_accel::Lanes<std::uint64_t> tag_{};
};

}  // namespace allium::bench
