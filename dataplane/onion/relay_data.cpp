// SPDX-License-Identifier: Apache-2.0

// D and V packets on their way (SPEC.md sections 6 and 8).

#include <cstring>
#include <type_traits>

#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::read_at;
using internal::select_lanes;
using internal::write_at;

namespace {

constexpr std::size_t kSegmentOffset = kLinkHeaderBytes;
constexpr std::size_t kMacOffset = kSegmentOffset + kSegmentBytes;
constexpr std::size_t kBetaOffset = kMacOffset + kBlockBytes;

constexpr std::size_t mac_message_bytes(const TypeInfo& info) noexcept {
  return 3 * kBlockBytes + info.header_bytes - kHeaderBlockBytes;
}

}  // namespace

void Relay::State::open_data(const RelayTurn& turn) noexcept {
  const Burst& burst = turn.burst;
  const LaneMask lanes =
      burst.pending() &
      (lanes_with(burst.type, PacketType::df) | lanes_with(burst.type, PacketType::db) |
       lanes_with(burst.type, PacketType::vf) | lanes_with(burst.type, PacketType::vb));
  if (lanes == 0) {
    return;
  }
  Lanes<Verdict> verdict;
  verdict.fill(Verdict::fs_type);
  LaneMask opened = 0;
  const auto open_all = [&](LaneMask tried) {
    for_each_type(turn.burst, tried, [&](PacketType type, LaneMask same) {
      opened |= open_data_layer(turn, type, same);
    });
  };
  const LaneMask current = open_segments(turn, lanes, 0, verdict);
  const LaneMask sealed = current | open_segments(turn, lanes & ~current, 1, verdict);
  parts.probe(Stage::segment);
  open_all(sealed);
  // One packet in 3e-5 reads as valid under both epochs; the MAC says which one it was.
  open_all(open_segments(turn, current & ~opened, 1, verdict));
  for_each_lane(lanes & ~opened, [&](std::size_t lane) {
    turn.drop(lane, (sealed & lane_bit(lane)) != 0 ? Verdict::header_mac : verdict[lane]);
  });
}

// Opens segments under the epoch `age` before this one. Lanes whose segment reads as valid are the answer, and have
// their secret and next hop; the others their verdict, if it is a better one than they had.
LaneMask Relay::State::open_segments(const RelayTurn& turn, LaneMask lanes, std::uint64_t age,
                                     Lanes<Verdict>& verdict) noexcept {
  const Burst& burst = turn.burst;
  const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(turn.epoch - age);
  if (lanes == 0 || epoch == nullptr) {
    return 0;
  }
  Lanes<Block> plain;
  Lanes<Block> input;
  batch.decrypt_blocks(epoch->segment, lanes, read_at(burst, lanes, kSegmentOffset), plain);
  const std::uint64_t unit10 = unit10_of(turn.now_ms);
  const LaneMask valid = select_lanes(lanes, [&](std::size_t lane) {
    const Verdict judged =
        internal::judge_segment(plain[lane], type_info(burst.type[lane]).direction, unit10);
    if (judged != Verdict::pending) {
      verdict[lane] = judged == Verdict::fs_expired ? judged : verdict[lane];
      return false;
    }
    next[lane] = internal::next_of_segment(plain[lane]);
    input[lane] = internal::secret_input(plain[lane]);
    return true;
  });
  batch.encrypt_blocks(epoch->secret, valid, input, secret);
  return valid;
}

LaneMask Relay::State::open_data_layer(const RelayTurn& turn, PacketType type,
                                       LaneMask lanes) noexcept {
  if (lanes == 0) {
    return 0;
  }
  const TypeInfo& info = type_info(type);
  batch.derive(layer_shape(info), lanes, secret);
  parts.probe(Stage::derive);
  look_ahead_replay(turn, lanes);
  write_mac_messages(turn, info, lanes);
  if (info.direction == Direction::backward) {
    // Its MAC needs no hash, so garbage from behind costs none.
    lanes = check_macs(turn, lanes, mac_message_bytes(info), kMacOffset);
  }
  if (info.x_r_bytes >= kWaveBytesMin && lanes != first_wave(lanes)) {
    return cipher_in_waves(turn, type, lanes);
  }
  encrypt_left(turn, type, lanes);
  if (info.direction == Direction::backward) {
    return lanes;
  }
  for_each_lane(lanes, [&](std::size_t lane) {
    store_block(message[lane].data() + mac_message_bytes(info) - kBlockBytes, x_l_out[lane]);
  });
  return check_macs(turn, lanes, mac_message_bytes(info), kMacOffset);
}

// ctx, FS, beta; the last block is X_L' forward, which comes later, and zeros backward.
void Relay::State::write_mac_messages(const RelayTurn& turn, const TypeInfo& info,
                                      LaneMask lanes) noexcept {
  const bool is_backward = info.direction == Direction::backward;
  // Of a size that the compiler knows, so that it copies in place.
  const auto write = [&](auto beta_bytes) {
    for_each_lane(lanes, [&](std::size_t lane) {
      const std::uint8_t* packet = turn.burst.data[lane];
      std::uint8_t* text = message[lane].data();
      store_block(text, layer_context(info.direction, static_cast<std::uint8_t>(info.packet_class),
                                      is_backward ? 0 : turn.burst.slot[lane]));
      std::memcpy(text + kBlockBytes, packet + kSegmentOffset, kSegmentBytes);
      std::memcpy(text + 2 * kBlockBytes, packet + kBetaOffset, beta_bytes);
      store_block(text + 2 * kBlockBytes + beta_bytes, Block{});
    });
  };
  if (info.packet_class == PacketClass::d) {
    write(std::integral_constant<std::size_t, kHeaderBlockBytes*(kBlocksD - 1)>());
  } else {
    write(std::integral_constant<std::size_t, kHeaderBlockBytes*(kBlocksV - 1)>());
  }
}

// Steps 8 to 10 but for the header: the hash of a wave of lanes beside the cipher of the one before, which has passed
// its MAC and the replay set meanwhile. The lanes whose MAC holds; backward it did before.
LaneMask Relay::State::cipher_in_waves(const RelayTurn& turn, PacketType type,
                                       LaneMask lanes) noexcept {
  const TypeInfo& info = type_info(type);
  const crypto_accel::LayerShape shape = layer_shape(info);
  const bool is_backward = info.direction == Direction::backward;
  const Lanes<const std::uint8_t*> t = read_at(turn.burst, lanes, info.t_offset);
  const Lanes<const std::uint8_t*> x_r_in = read_at(turn.burst, lanes, info.x_r_offset);
  const Lanes<std::uint8_t*> x_r = write_at(turn.burst, lanes, info.x_r_offset);
  write_contexts(turn, info, lanes);
  if (!is_backward) {
    // All but the last block, X_L': CBC-MAC goes on from here when it is there.
    for_each_lane(lanes, [&](std::size_t lane) { message_at[lane] = message[lane].data(); });
    batch.header_mac(lanes, message_at, mac_message_bytes(info) - kBlockBytes, mac);
    parts.probe(Stage::header_mac);
  }
  LaneMask opened = 0;
  LaneMask before = 0;
  for (LaneMask rest = lanes; rest != 0;) {
    const LaneMask wave = first_wave(rest);
    rest &= ~wave;
    batch.layer_both(shape, before, x_r, w, wave, ctx, t, x_r_in, x_l_out, mac);
    parts.probe(Stage::layer);
    const LaneMask good = is_backward ? wave : genuine(turn, wave, kMacOffset);
    opened |= good;
    before = check_replay(turn, good);
    ciphered |= before;
    parts.probe(Stage::replay_set);
  }
  batch.layer_right(shape, before, x_l_out, x_r, w);
  parts.probe(Stage::layer);
  return opened;
}

// A terminal has no use for the header, so its lanes are left out.
void Relay::State::shift_headers(const RelayTurn& turn, PacketType type, LaneMask lanes) noexcept {
  const LaneMask passing =
      select_lanes(lanes, [&](std::size_t lane) { return next[lane].type != NextType::service; });
  if (passing != 0) {
    batch.header_shift(layer_shape(type_info(type)), passing, w,
                       write_at(turn.burst, passing, kSegmentOffset));
  }
}

void Relay::State::finish_data(const RelayTurn& turn, std::size_t lane) noexcept {
  if (next[lane].type == NextType::service) {
    return terminate(turn, lane, nullptr, nullptr);
  }
  send_on(turn, lane, next[lane]);
}

}  // namespace allium::onion
