// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/onion_chain.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "dataplane/onion/burst.hpp"

namespace allium::bench {

using crypto_accel::first_lanes;
using crypto_accel::kLanesMax;
using crypto_accel::LaneMask;

OnionChain::OnionChain(const crypto_accel::OnionKernel& kernel, onion::PacketClass packet_class,
                       std::uint64_t slot, const ChainKeys& keys)
    : batch_(kernel),
      info_(onion::type_info(onion::data_type(packet_class, onion::Direction::forward))),
      shape_(onion::layer_shape(info_)) {
  batch_.expand_key(keys.segment, segment_key_);
  batch_.expand_key(keys.secret, secret_key_);
  batch_.expand_key(keys.replay, replay_key_);
  for (std::size_t lane = 0; lane < kLanesMax; ++lane) {
    batch_.expand_key(keys.links[lane].mac_in, link_in_[lane].mac);
    batch_.expand_key(keys.links[lane].veil_in, link_in_[lane].veil);
    batch_.expand_key(keys.links[lane].mac_out, link_out_[lane].mac);
    batch_.expand_key(keys.links[lane].veil_out, link_out_[lane].veil);
    link_in_at_[lane] = &link_in_[lane];
    link_out_at_[lane] = &link_out_[lane];
    replay_at_[lane] = &replay_key_;
    ctx_[lane] = onion::layer_context(info_.direction, shape_.packet_class, slot);
  }
}

void OnionChain::point_at(std::span<std::uint8_t* const> datagrams) noexcept {
  ALLIUM_CHECK(datagrams.size() <= kLanesMax);
  for (std::size_t lane = 0; lane < datagrams.size(); ++lane) {
    datagram_[lane] = datagrams[lane];
    datagram_read_[lane] = datagrams[lane];
    header_[lane] = datagrams[lane] + onion::kLinkHeaderBytes;
    header_read_[lane] = header_[lane];
    t_read_[lane] = datagrams[lane] + info_.t_offset;
    x_r_[lane] = datagrams[lane] + info_.x_r_offset;
    x_r_read_[lane] = x_r_[lane];
  }
}

// FS = type | exp:16 | next:48 | salt:56 gives 01 | salt:56 | exp:16 | 0^6, whose AES is the session's secret.
void OnionChain::open_segments(LaneMask lanes) noexcept {
  batch_.decrypt_blocks(segment_key_, lanes, header_read_, plain_);
  for (std::size_t lane = 0; lane < kLanesMax && (lanes >> lane & 1) != 0; ++lane) {
    Block& input = input_[lane];
    input = Block{};
    input[0] = 1;
    std::copy_n(plain_[lane].data() + 9, 7, input.data() + 1);
    std::copy_n(plain_[lane].data() + 1, 2, input.data() + 8);
  }
  batch_.encrypt_blocks(secret_key_, lanes, input_, secret_);
}

// The MAC wants its message in one piece, in a relay too. Without the last block, X_L'.
void OnionChain::write_mac_messages(LaneMask lanes) noexcept {
  const std::size_t beta_bytes = info_.header_bytes - onion::kHeaderBlockBytes;
  for (std::size_t lane = 0; lane < kLanesMax && (lanes >> lane & 1) != 0; ++lane) {
    std::uint8_t* const text = message_[lane].data();
    store_block(text, ctx_[lane]);
    std::memcpy(text + kBlockBytes, header_read_[lane], kBlockBytes);
    std::memcpy(text + 2 * kBlockBytes, header_read_[lane] + onion::kHeaderBlockBytes, beta_bytes);
    message_at_[lane] = text;
  }
}

// Hash, MAC and cipher of one wave after the other where a relay does so, else of the whole burst.
void OnionChain::encrypt_layer(LaneMask lanes) noexcept {
  const std::size_t begin_bytes = 2 * kBlockBytes + info_.header_bytes - onion::kHeaderBlockBytes;
  write_mac_messages(lanes);
  if (info_.x_r_bytes < onion::kWaveBytesMin || lanes == onion::first_wave(lanes)) {
    batch_.layer_left(shape_, lanes, ctx_, t_read_, x_r_read_, x_l_out_);
    for (LaneMask rest = lanes; rest != 0; rest &= rest - 1) {
      const auto lane = static_cast<std::size_t>(std::countr_zero(rest));
      store_block(message_[lane].data() + begin_bytes, x_l_out_[lane]);
    }
    batch_.header_mac(lanes, message_at_, begin_bytes + kBlockBytes, mac_);
    batch_.layer_right(shape_, lanes, x_l_out_, x_r_, w_);
    return;
  }
  batch_.header_mac(lanes, message_at_, begin_bytes, mac_);
  LaneMask before = 0;
  for (LaneMask left = lanes; left != 0;) {
    const LaneMask wave = onion::first_wave(left);
    left &= ~wave;
    batch_.layer_both(shape_, before, x_r_, w_, wave, ctx_, t_read_, x_r_read_, x_l_out_, mac_);
    before = wave;
  }
  batch_.layer_right(shape_, before, x_l_out_, x_r_, w_);
}

void OnionChain::run(std::span<std::uint8_t* const> datagrams) noexcept {
  point_at(datagrams);
  const LaneMask lanes = first_lanes(datagrams.size());
  batch_.link_tag(info_.header_bytes, lanes, link_in_at_, datagram_read_, tag_in_);
  batch_.link_veil(info_.header_bytes, lanes, link_in_at_, datagram_);
  open_segments(lanes);
  batch_.derive(shape_, lanes, secret_);
  batch_.replay_tag(lanes, replay_at_, t_read_, tag_);
  encrypt_layer(lanes);
  for (std::size_t lane = 0; lane < datagrams.size(); ++lane) {
    store_block(datagram_[lane] + info_.t_offset, x_l_out_[lane]);
  }
  batch_.header_shift(shape_, lanes, w_, header_);
  batch_.link_veil(info_.header_bytes, lanes, link_out_at_, datagram_);
  batch_.link_tag(info_.header_bytes, lanes, link_out_at_, datagram_read_, tag_);
  for (std::size_t lane = 0; lane < datagrams.size(); ++lane) {
    store_be(datagram_[lane] + onion::kTagOffset, tag_[lane], onion::kTagBytes);
  }
}

}  // namespace allium::bench
