// SPDX-License-Identifier: Apache-2.0

// D and V packets on their way (SPEC.md sections 6 and 8).

#include <cstring>

#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::PlainSegment;
using internal::read_at;
using internal::select_lanes;
using internal::write_at;

namespace {

constexpr std::size_t kSegmentOffset = kLinkHeaderBytes;
constexpr std::size_t kMacOffset = kSegmentOffset + kSegmentBytes;
constexpr std::size_t kBetaOffset = kMacOffset + kBlockBytes;

bool is_data(PacketType type) noexcept {
  const PacketClass packet_class = type_info(type).packet_class;
  return packet_class == PacketClass::d || packet_class == PacketClass::v;
}

// ctx, FS, beta, then X_L' forward and zeros backward; returns its size.
std::size_t write_mac_message(const TypeInfo& info, const std::uint8_t* packet, const Block& ctx,
                              const Block& last, std::uint8_t* message) noexcept {
  const std::size_t beta_bytes = info.header_bytes - kHeaderBlockBytes;
  store_block(message, ctx);
  std::memcpy(message + kBlockBytes, packet + kSegmentOffset, kSegmentBytes);
  std::memcpy(message + 2 * kBlockBytes, packet + kBetaOffset, beta_bytes);
  store_block(message + 2 * kBlockBytes + beta_bytes, last);
  return 3 * kBlockBytes + beta_bytes;
}

}  // namespace

void Relay::State::open_data(const RelayTurn& turn) noexcept {
  const LaneMask lanes = select_lanes(
      turn.burst.pending(), [&](std::size_t lane) { return is_data(turn.burst.type[lane]); });
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
  const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(turn.epoch() - age);
  if (lanes == 0 || epoch == nullptr) {
    return 0;
  }
  Lanes<Block> plain;
  Lanes<Block> input;
  batch.decrypt_blocks(epoch->segment, lanes, read_at(burst, lanes, kSegmentOffset), plain);
  const std::uint64_t unit10 = unit10_of(turn.now_ms);
  const LaneMask valid = select_lanes(lanes, [&](std::size_t lane) {
    const PlainSegment opened(plain[lane]);
    const Verdict judged = opened.judge(type_info(burst.type[lane]).direction, unit10);
    if (judged != Verdict::pending) {
      verdict[lane] = judged == Verdict::fs_expired ? judged : verdict[lane];
      return false;
    }
    next[lane] = opened.segment.next;
    input[lane] = secret_input(opened.segment);
    return true;
  });
  batch.encrypt_blocks(epoch->secret, valid, input, secret);
  return valid;
}

LaneMask Relay::State::open_data_layer(const RelayTurn& turn, PacketType type,
                                       LaneMask lanes) noexcept {
  const TypeInfo& info = type_info(type);
  const bool is_backward = info.direction == Direction::backward;
  batch.derive(layer_shape(info), lanes, secret);
  look_ahead_replay(turn, lanes);
  if (!is_backward) {
    encrypt_left(turn, type, lanes);
  }
  std::size_t message_bytes = 0;
  for_each_lane(lanes, [&](std::size_t lane) {
    const std::uint64_t mac_slot = is_backward ? 0 : turn.burst.slot[lane];
    message_bytes = write_mac_message(
        info, turn.burst.data[lane],
        layer_context(info.direction, static_cast<std::uint8_t>(info.packet_class), mac_slot),
        is_backward ? Block{} : x_l_out[lane], message[lane].data());
  });
  if (lanes == 0) {
    return 0;
  }
  const LaneMask opened = check_macs(turn, lanes, message_bytes, kMacOffset);
  if (is_backward) {
    // Its MAC needs no hash, so garbage from behind costs none.
    encrypt_left(turn, type, opened);
  }
  return opened;
}

// A terminal has no use for the header, so its lanes are left out.
void Relay::State::shift_headers(const RelayTurn& turn, LaneMask lanes) noexcept {
  const LaneMask passing =
      select_lanes(lanes, [&](std::size_t lane) { return next[lane].type != NextType::service; });
  for_each_type(turn.burst, passing, [&](PacketType type, LaneMask same) {
    batch.header_shift(layer_shape(type_info(type)), same, w,
                       write_at(turn.burst, same, kSegmentOffset));
  });
}

void Relay::State::finish_data(const RelayTurn& turn, std::size_t lane) noexcept {
  if (next[lane].type == NextType::service) {
    return terminate(turn, lane, nullptr, nullptr);
  }
  send_on(turn, lane, next[lane]);
}

}  // namespace allium::onion
