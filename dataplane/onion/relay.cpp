// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/relay.hpp"

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::read_at;
using internal::select_lanes;
using internal::write_at;

namespace {

constexpr std::uint8_t kClientTagLabel = 0x40;
constexpr std::size_t kClientTagMessageBytes = 2 * kBlockBytes;

}  // namespace

Relay::Relay(const RelayParts& parts) : state_(std::make_unique<State>(parts)) {
  ALLIUM_CHECK(parts.replay != nullptr && parts.handles != nullptr && parts.bridge != nullptr);
  ALLIUM_CHECK(parts.sequence.take != nullptr && parts.salt.take != nullptr);
  ALLIUM_CHECK(parts.random.fill != nullptr);
}

Relay::~Relay() = default;

void Relay::process(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept {
  State& state = *state_;
  const RelayTurn turn{snapshot, burst, now_ms};
  state.to_tag = 0;
  state.ciphered = 0;
  for_each_type(burst, burst.pending(), [&](PacketType type, LaneMask lanes) {
    const std::size_t t_offset = type_info(type).t_offset;
    for_each_lane(lanes, [&](std::size_t lane) {
      state.x_l[lane] = load_block(burst.data[lane] + t_offset);
    });
  });
  state.open_data(turn);
  state.open_setups(turn);
  state.open_returns(turn);
  static_cast<void>(state.check_replay(turn, burst.pending() & ~state.ciphered));
  state.parts.probe(Stage::replay_set);
  state.encrypt_right(turn);
  for_each_lane(burst.pending(), [&](std::size_t lane) {
    switch (burst.type[lane]) {
      case PacketType::s0:
      case PacketType::s1:
        return state.finish_setup(turn, lane);
      case PacketType::r:
        return state.finish_return(turn, lane);
      default:
        return state.finish_data(turn, lane);
    }
  });
  state.tag_clients(turn);
  state.wipe_scratch();
  state.parts.probe(Stage::route);
}

void Relay::State::write_contexts(const RelayTurn& turn, const TypeInfo& info,
                                  LaneMask lanes) noexcept {
  for_each_lane(lanes, [&](std::size_t lane) {
    ctx[lane] = layer_context(info.direction, static_cast<std::uint8_t>(info.packet_class),
                              turn.burst.slot[lane]);
  });
}

// The layer's left half. T in the datagram stays as it is: it is the text of the replay tag.
void Relay::State::encrypt_left(const RelayTurn& turn, PacketType type, LaneMask lanes) noexcept {
  const TypeInfo& info = type_info(type);
  write_contexts(turn, info, lanes);
  batch.layer_left(layer_shape(info), lanes, ctx, read_at(turn.burst, lanes, info.t_offset),
                   read_at(turn.burst, lanes, info.x_r_offset), x_l_out);
  parts.probe(Stage::hash);
}

LaneMask Relay::State::check_macs(const RelayTurn& turn, LaneMask lanes, std::size_t message_bytes,
                                  std::size_t mac_offset) noexcept {
  for_each_lane(lanes, [&](std::size_t lane) { message_at[lane] = message[lane].data(); });
  batch.header_mac(lanes, message_at, message_bytes, mac);
  return genuine(turn, lanes, mac_offset);
}

LaneMask Relay::State::genuine(const RelayTurn& turn, LaneMask lanes,
                               std::size_t mac_offset) noexcept {
  const LaneMask equals = select_lanes(lanes, [&](std::size_t lane) {
    return equal_blocks(mac[lane].data(), turn.burst.data[lane] + mac_offset);
  });
  parts.probe(Stage::header_mac);
  return equals;
}

// The replay tags of lanes whose layer keys are there. The set's lines are on their way while the layer is
// worked on; what does not open leaves nothing in the set.
void Relay::State::look_ahead_replay(const RelayTurn& turn, LaneMask lanes) noexcept {
  const Burst& burst = turn.burst;
  // Slots are those of now, the one before and the one behind (step 6), so there are at most three keys.
  std::array<const RelaySnapshot::Epoch*, 3> epochs;
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    epochs[i] = turn.snapshot.epoch(epoch_of_slot(turn.slot - 1 + i));
  }
  Lanes<const crypto_accel::AesKey*> key{};
  Lanes<const std::uint8_t*> t{};
  const LaneMask keyed = select_lanes(lanes, [&](std::size_t lane) {
    const std::uint64_t above_lowest = burst.slot[lane] - (turn.slot - 1);
    const RelaySnapshot::Epoch* epoch =
        above_lowest < epochs.size() ? epochs[above_lowest] : nullptr;
    key[lane] = epoch != nullptr ? &epoch->replay : nullptr;
    t[lane] = x_l[lane].data();
    return epoch != nullptr;
  });
  replay_keyed = (replay_keyed & ~lanes) | keyed;
  batch.replay_tag(keyed, key, t, replay_tag);
  for_each_lane(
      keyed, [&](std::size_t lane) { parts.replay->prefetch(burst.slot[lane], replay_tag[lane]); });
  parts.probe(Stage::replay_tag);
}

// Step 9, the lanes that go on. In lane order, so that of two equal packets the first is one of them.
LaneMask Relay::State::check_replay(const RelayTurn& turn, LaneMask lanes) noexcept {
  const Burst& burst = turn.burst;
  return select_lanes(lanes, [&](std::size_t lane) {
    const ReplayAnswer answer =
        (replay_keyed & lane_bit(lane)) == 0
            ? ReplayAnswer::closed
            : parts.replay->test_and_set(burst.slot[lane], replay_tag[lane]);
    switch (answer) {
      case ReplayAnswer::fresh:
        return true;
      case ReplayAnswer::replay:
        turn.drop(lane, Verdict::replay);
        break;
      case ReplayAnswer::closed:
        turn.drop(lane, Verdict::slot);
        break;
      case ReplayAnswer::full:
        turn.drop(lane, Verdict::rate);
        break;
    }
    return false;
  });
}

// Step 10: X_R' and T, and the headers of D and V.
void Relay::State::encrypt_right(const RelayTurn& turn) noexcept {
  for_each_type(turn.burst, turn.burst.pending(), [&](PacketType type, LaneMask lanes) {
    const TypeInfo& info = type_info(type);
    batch.layer_right(layer_shape(info), lanes & ~ciphered, x_l_out,
                      write_at(turn.burst, lanes, info.x_r_offset), w);
    for_each_lane(lanes, [&](std::size_t lane) {
      store_block(turn.burst.data[lane] + info.t_offset, x_l_out[lane]);
    });
    parts.probe(Stage::cipher);
    if (info.packet_class == PacketClass::d || info.packet_class == PacketClass::v) {
      shift_headers(turn, type, lanes);
      parts.probe(Stage::header_shift);
    }
  });
}

Verdict Relay::State::route(const RelayTurn& turn, const internal::Next& hop,
                            Target& target) const noexcept {
  switch (hop.type) {
    case NextType::relay: {
      const auto id = static_cast<std::uint32_t>(load_be(hop.bytes.data(), 4));
      const RelaySnapshot::Peer* peer = turn.snapshot.peer_by_id(id);
      if (peer == nullptr || peer->link(turn.epoch) == nullptr) {
        return Verdict::no_route;
      }
      target.to_relay = true;
      target.relay_id = id;
      target.endpoint = peer->endpoint;
      target.peer_index = turn.snapshot.index_of(*peer);
      return Verdict::pending;
    }
    case NextType::v4:
      target = {false, 0,
                Endpoint::from_v4(hop.bytes.data(),
                                  static_cast<std::uint16_t>(load_be(hop.bytes.data() + 4, 2))),
                0};
      return Verdict::pending;
    case NextType::handle: {
      const std::optional<Endpoint> client =
          parts.handles->find(load_be(hop.bytes.data(), hop.bytes.size()), turn.epoch);
      if (!client) {
        return Verdict::handle;
      }
      target = {false, 0, *client, 0};
      return Verdict::pending;
    }
    case NextType::service:
      break;
  }
  return Verdict::no_route;
}

void Relay::State::send_on(const RelayTurn& turn, std::size_t lane,
                           const internal::Next& hop) noexcept {
  Burst& burst = turn.burst;
  const Verdict verdict = route(turn, hop, burst.target[lane]);
  if (verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  const TypeInfo& info = type_info(burst.type[lane]);
  burst.verdict[lane] = Verdict::forward;
  burst.outgoing[lane] = Outgoing::forward;
  burst.bytes[lane] = info.total_bytes;
  if (info.direction == Direction::backward) {
    burst.slot[lane] = turn.slot;
    to_tag |= burst.target[lane].to_relay ? 0 : lane_bit(lane);
  }
}

// Client tags (section 8), K_m and X_L of the layer that this node has just put on.
void Relay::State::tag_clients(const RelayTurn& turn) noexcept {
  if (to_tag == 0) {
    return;
  }
  for_each_lane(to_tag, [&](std::size_t lane) {
    const auto class_byte =
        static_cast<std::uint8_t>(type_info(turn.burst.type[lane]).packet_class);
    std::uint8_t* text = message[lane].data();
    store_block(text, layer_context(Direction::backward,
                                    static_cast<std::uint8_t>(class_byte | kClientTagLabel),
                                    turn.burst.slot[lane]));
    store_block(text + kBlockBytes, x_l[lane]);
    message_at[lane] = text;
  });
  batch.header_mac(to_tag, message_at, kClientTagMessageBytes, turn.burst.client_tag);
  to_tag = 0;
}

void Relay::State::wipe_scratch() noexcept {
  wipe(secret.data(), sizeof secret);
  wipe(w.data(), sizeof w);
  // Few bursts have any of these, and they are large.
  for_each_lane(set_up, [&](std::size_t lane) { wipe(&setup[lane], sizeof setup[lane]); });
  for_each_lane(turned_back,
                [&](std::size_t lane) { wipe(&returned[lane], sizeof returned[lane]); });
  set_up = 0;
  turned_back = 0;
}

}  // namespace allium::onion
