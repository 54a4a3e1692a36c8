// SPDX-License-Identifier: Apache-2.0

// Steps 1 to 7: what is dropped before any key of a layer is touched (SPEC.md sections 4 and 9).

#include <algorithm>

#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::read_at;
using internal::write_at;

namespace {

constexpr std::uint64_t kMsPerSecond = 1000;
constexpr std::uint64_t kEpochMs = kEpochSeconds * kMsPerSecond;
constexpr std::uint64_t kSkewMs = kSkewSeconds * kMsPerSecond;
// gamma stands behind eph at the start of the own block.
constexpr std::size_t kSetupMacOffset = kLinkHeaderBytes + kEphBytes;

bool is_setup(PacketType type) noexcept {
  return type == PacketType::s0 || type == PacketType::s1;
}

bool is_length(std::size_t byte_count) noexcept {
  return byte_count == kChallengeBytes || byte_count == kSmallBytes || byte_count == kLargeBytes;
}

using Cookie = std::array<std::uint8_t, kLastBytes>;

Cookie cookie_of(const RelaySnapshot::Epoch& epoch, const Endpoint& client) noexcept {
  std::array<std::uint8_t, 32> text{};
  std::copy(client.address.begin(), client.address.end(), text.data());
  store_be(text.data() + client.address.size(), client.port, 2);
  const Block mac = crypto_accel::cmac(epoch.cookie, text);
  Cookie cookie{};
  std::copy_n(mac.data(), cookie.size(), cookie.data());
  return cookie;
}

bool has_cookie(const RelayTurn& turn, std::size_t lane) noexcept {
  for (const std::uint64_t number : {turn.epoch, turn.epoch - 1}) {
    const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(number);
    if (epoch == nullptr) {
      continue;
    }
    const Cookie cookie = cookie_of(*epoch, turn.burst.source[lane]);
    if (equal(cookie.data(), turn.burst.data[lane] + kLastOffset, cookie.size())) {
      return true;
    }
  }
  return false;
}

// C in place of the S packet that it answers.
void challenge(const RelayTurn& turn, std::size_t lane) noexcept {
  Burst& burst = turn.burst;
  turn.drop(lane, Verdict::cookie);
  const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(turn.epoch);
  if (epoch == nullptr) {
    return;
  }
  const Cookie cookie = cookie_of(*epoch, burst.source[lane]);
  std::array<std::uint8_t, kChallengeBytes> packet{};
  packet[0] = kVersion << 4 | static_cast<std::uint8_t>(PacketType::c);
  packet[kSlotOffset] = static_cast<std::uint8_t>(burst.slot[lane]);
  std::copy_n(burst.data[lane] + kSetupMacOffset, kLastBytes, packet.data() + kLastOffset);
  std::copy(cookie.begin(), cookie.end(), packet.data() + kLinkHeaderBytes);
  std::copy(packet.begin(), packet.end(), burst.data[lane]);
  burst.type[lane] = PacketType::c;
  burst.bytes[lane] = kChallengeBytes;
  burst.outgoing[lane] = Outgoing::challenge;
  burst.target[lane] = {false, 0, burst.source[lane], 0};
}

}  // namespace

// A link may be of the epoch of now or of one within the skew of it (section 4).
AcceptedEpochs::AcceptedEpochs(std::uint64_t now_ms) noexcept : now(epoch_of(now_ms)), other(now) {
  const std::uint64_t into_ms = now_ms - now * kEpochMs;
  if (into_ms < kSkewMs) {
    other = now - 1;
  } else if (kEpochMs - into_ms <= kSkewMs) {
    other = now + 1;
  }
}

void Relay::admit(const RelaySnapshot& snapshot, Burst& burst, std::uint64_t now_ms) noexcept {
  State& state = *state_;
  const RelayTurn turn{snapshot, burst, now_ms};
  const AcceptedEpochs epochs(now_ms);
  state.parts.replay->raise_floor(turn.slot - 1);
  burst.verdict.fill(Verdict::pending);
  burst.outgoing.fill(Outgoing::none);
  burst.delay_10ms.fill(0);
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    state.classify(turn, epochs, lane);
  }
  state.parts.probe(Stage::classify);
  state.check_links(turn);
  state.parts.probe(Stage::link_tag_in);
  state.check_slots(turn);
  state.unveil(turn);
  state.check_cookies(turn);
  state.limit_setups(turn);
  state.parts.probe(Stage::link_veil_in);
}

// Steps 1 to 4, and the key of step 5.
void Relay::State::classify(const RelayTurn& turn, const AcceptedEpochs& epochs,
                            std::size_t lane) noexcept {
  Burst& burst = turn.burst;
  if (!is_length(burst.bytes[lane])) {
    return turn.drop(lane, Verdict::length);
  }
  const std::uint8_t* packet = burst.data[lane];
  if (packet[0] >> 4 != kVersion) {
    return turn.drop(lane, Verdict::version);
  }
  const unsigned nibble = packet[0] & 0x0fU;
  if (!is_packet_type(nibble)) {
    return turn.drop(lane, Verdict::type);
  }
  const TypeInfo& info = type_info(static_cast<PacketType>(nibble));
  if (burst.bytes[lane] != info.total_bytes) {
    return turn.drop(lane, Verdict::length);
  }
  burst.type[lane] = static_cast<PacketType>(nibble);
  const RelaySnapshot::Peer* peer = turn.snapshot.peer_by_endpoint(burst.source[lane]);
  burst.from_relay[lane] = peer != nullptr;
  if (peer == nullptr) {
    burst.previous[lane] = 0;
    if (burst.source[lane] == turn.snapshot.own_endpoint()) {
      return turn.drop(lane, Verdict::ll_key);
    }
    return info.from_client ? void() : turn.drop(lane, Verdict::type);
  }
  burst.previous[lane] = peer->id;
  const std::optional<std::uint64_t> epoch = epochs.named_by(packet[kKeyIdOffset]);
  const RelaySnapshot::Link* link = epoch ? peer->link(*epoch) : nullptr;
  if (link == nullptr) {
    return turn.drop(lane, Verdict::ll_key);
  }
  link_key[lane] = &link->in;
}

LaneMask Relay::State::from_relays(const Burst& burst) const noexcept {
  return burst.pending() & lanes_with(burst.from_relay, true);
}

void Relay::State::check_links(const RelayTurn& turn) noexcept {
  Burst& burst = turn.burst;
  for_each_type(burst, from_relays(burst), [&](PacketType type, LaneMask lanes) {
    Lanes<std::uint64_t> tag;
    batch.link_tag(type_info(type).header_bytes, lanes, link_key, read_at(burst, lanes, 0), tag);
    static_assert(kTagBytes == sizeof tag[0]);
    for_each_lane(lanes, [&](std::size_t lane) {
      if (tag[lane] != load_be(burst.data[lane] + kTagOffset, kTagBytes)) {
        turn.drop(lane, Verdict::ll_tag);
      }
    });
  });
}

void Relay::State::check_slots(const RelayTurn& turn) noexcept {
  const std::uint64_t floor = parts.replay->floor();
  for_each_lane(turn.burst.pending(), [&](std::size_t lane) {
    const std::optional<std::uint64_t> slot =
        slot_near(turn.slot, turn.burst.data[lane][kSlotOffset]);
    if (!slot || *slot < floor) {
      return turn.drop(lane, Verdict::slot);
    }
    turn.burst.slot[lane] = *slot;
  });
}

void Relay::State::unveil(const RelayTurn& turn) noexcept {
  Burst& burst = turn.burst;
  for_each_type(burst, from_relays(burst), [&](PacketType type, LaneMask lanes) {
    batch.link_veil(type_info(type).header_bytes, lanes, link_key, write_at(burst, lanes, 0));
  });
}

void Relay::State::check_cookies(const RelayTurn& turn) noexcept {
  if (!turn.snapshot.cookie_required()) {
    return;
  }
  for_each_lane(turn.burst.pending(), [&](std::size_t lane) {
    if (!turn.burst.from_relay[lane] && is_setup(turn.burst.type[lane]) &&
        !has_cookie(turn, lane)) {
      challenge(turn, lane);
    }
  });
}

void Relay::State::limit_setups(const RelayTurn& turn) noexcept {
  if (parts.limiter == nullptr) {
    return;
  }
  const Burst& burst = turn.burst;
  for_each_lane(burst.pending(), [&](std::size_t lane) {
    if (!is_setup(burst.type[lane])) {
      return;
    }
    const bool is_admitted = burst.from_relay[lane]
                                 ? parts.limiter->admit_relay(burst.previous[lane], turn.now_ms)
                                 : parts.limiter->admit_client(burst.source[lane], turn.now_ms);
    if (!is_admitted) {
      turn.drop(lane, Verdict::rate);
    }
  });
}

}  // namespace allium::onion
