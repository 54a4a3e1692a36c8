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
  open_segments(turn, lanes, candidates);
  parts.probe(Stage::segment);
  const LaneMask sealed = turn.burst.pending() & lanes;
  const LaneMask both = sealed & candidates.valid[0] & candidates.valid[1];
  LaneMask opened = 0;
  const auto open_all = [&](LaneMask tried) {
    for_each_type(turn.burst, tried, [&](PacketType type, LaneMask same) {
      opened |= open_data_layer(turn, type, same);
    });
  };
  choose(candidates, 0, sealed & candidates.valid[0]);
  choose(candidates, 1, sealed & candidates.valid[1] & ~candidates.valid[0]);
  open_all(sealed);
  // One packet in 3e-5 reads as valid under both epochs; the MAC says which one it was.
  const LaneMask again = both & ~opened;
  choose(candidates, 1, again);
  open_all(again);
  for_each_lane(sealed & ~opened, [&](std::size_t lane) { turn.drop(lane, Verdict::header_mac); });
}

void Relay::State::open_segments(const RelayTurn& turn, LaneMask lanes,
                                 Candidates& found) noexcept {
  const Burst& burst = turn.burst;
  Lanes<Verdict> verdict{};
  verdict.fill(Verdict::fs_type);
  found.valid = {};
  for (std::size_t index = 0; index < found.valid.size(); ++index) {
    const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(turn.epoch() - index);
    if (epoch == nullptr) {
      continue;
    }
    Lanes<Block> plain{};
    Lanes<Block> input{};
    Lanes<Block> secrets{};
    batch.decrypt_blocks(epoch->segment, lanes, read_at(burst, lanes, kSegmentOffset), plain);
    found.valid[index] = select_lanes(lanes, [&](std::size_t lane) {
      const PlainSegment opened(plain[lane]);
      const Verdict judged =
          opened.judge(type_info(burst.type[lane]).direction, unit10_of(turn.now_ms));
      verdict[lane] = judged == Verdict::fs_expired ? judged : verdict[lane];
      found.segment[lane][index] = opened.segment;
      input[lane] = secret_input(opened.segment);
      return judged == Verdict::pending;
    });
    batch.encrypt_blocks(epoch->secret, found.valid[index], input, secrets);
    for_each_lane(found.valid[index],
                  [&](std::size_t lane) { found.secret[lane][index] = secrets[lane]; });
    wipe(secrets.data(), sizeof secrets);
  }
  for_each_lane(lanes & ~(found.valid[0] | found.valid[1]),
                [&](std::size_t lane) { turn.drop(lane, verdict[lane]); });
}

void Relay::State::choose(const Candidates& found, std::size_t index, LaneMask lanes) noexcept {
  for_each_lane(lanes, [&](std::size_t lane) {
    secret[lane] = found.secret[lane][index];
    next[lane] = found.segment[lane][index].next;
  });
}

LaneMask Relay::State::open_data_layer(const RelayTurn& turn, PacketType type,
                                       LaneMask lanes) noexcept {
  const TypeInfo& info = type_info(type);
  const bool is_backward = info.direction == Direction::backward;
  batch.derive(layer_shape(info), lanes, secret);
  parts.probe(Stage::derive);
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
