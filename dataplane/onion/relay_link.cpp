// SPDX-License-Identifier: Apache-2.0

// Step 13: the link header that a packet leaves with (SPEC.md section 4).

#include <algorithm>

#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::read_at;
using internal::write_at;

namespace {

void write_first_byte(const Burst& burst, std::size_t lane) noexcept {
  burst.data[lane][0] =
      static_cast<std::uint8_t>(kVersion << 4 | static_cast<std::uint8_t>(burst.type[lane]));
}

void write_client_header(const Burst& burst, std::size_t lane) noexcept {
  std::uint8_t* packet = burst.data[lane];
  write_first_byte(burst, lane);
  packet[kKeyIdOffset] = 0;
  packet[kSlotOffset] = static_cast<std::uint8_t>(burst.slot[lane]);
  packet[kSeqOffset] = 0;
  std::copy_n(burst.client_tag[lane].data(), kLastBytes, packet + kLastOffset);
}

// All that stands before the tag, as one word.
void write_relay_header(const Burst& burst, std::size_t lane, std::uint64_t epoch,
                        std::uint64_t seq) noexcept {
  static_assert(kKeyIdOffset == 1 && kSlotOffset == 2 && kSeqOffset == 3 && kSeqBytes == 5);
  const std::uint64_t type = static_cast<std::uint8_t>(burst.type[lane]);
  store_be(burst.data[lane],
           std::uint64_t{kVersion} << 60 | type << 56 | (epoch & 0xff) << 48 |
               (burst.slot[lane] & 0xff) << 40 | seq,
           kTagOffset);
}

void cannot_send(const RelayTurn& turn, std::size_t lane, Verdict reason) noexcept {
  turn.drop(lane, reason);
  turn.burst.outgoing[lane] = Outgoing::none;
}

}  // namespace

void Relay::transmit(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept {
  State& state = *state_;
  const RelayTurn turn{snapshot, burst, now_ms};
  LaneMask to_relays = 0;
  // Sequence numbers in lane order, and only for what is really sent to a relay.
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    if (burst.outgoing[lane] == Outgoing::none || burst.outgoing[lane] == Outgoing::challenge) {
      continue;
    }
    if (!burst.target[lane].to_relay) {
      write_client_header(burst, lane);
      continue;
    }
    const RelaySnapshot::Peer* peer =
        snapshot.peer_by_id(burst.target[lane].relay_id, burst.target[lane].peer_index);
    const RelaySnapshot::Link* link = peer != nullptr ? peer->link(turn.epoch) : nullptr;
    if (link == nullptr) {
      cannot_send(turn, lane, Verdict::no_route);
      continue;
    }
    const SequenceSource& source = state.parts.sequence;
    std::uint64_t seq = 0;
    if (!source.take(source.state, turn.epoch, seq) || seq > kSeqMax) {
      cannot_send(turn, lane, Verdict::tx_full);
      continue;
    }
    burst.target[lane].endpoint = peer->endpoint;
    state.link_key[lane] = &link->out;
    write_relay_header(burst, lane, turn.epoch, seq);
    to_relays |= lane_bit(lane);
  }
  state.parts.probe(Stage::link_header);
  for_each_type(burst, to_relays, [&](PacketType type, LaneMask lanes) {
    const std::size_t header_bytes = type_info(type).header_bytes;
    Lanes<std::uint64_t> tag;
    state.batch.link_veil(header_bytes, lanes, state.link_key, write_at(burst, lanes, 0));
    state.parts.probe(Stage::link_veil_out);
    state.batch.link_tag(header_bytes, lanes, state.link_key, read_at(burst, lanes, 0), tag);
    for_each_lane(lanes, [&](std::size_t lane) {
      store_be(burst.data[lane] + kTagOffset, tag[lane], kTagBytes);
    });
    state.parts.probe(Stage::link_tag_out);
  });
  // Of all that was done since admit().
  state.batch.clear_traces();
}

}  // namespace allium::onion
