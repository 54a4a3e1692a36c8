// SPDX-License-Identifier: Apache-2.0

// S packets: setup and one-shot (SPEC.md section 10).

#include <algorithm>
#include <cstring>
#include <string_view>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::for_each_type;
using internal::lane_bit;
using internal::Next;
using internal::select_lanes;

namespace {

constexpr std::size_t kEphOffset = kLinkHeaderBytes;
constexpr std::size_t kMacOffset = kEphOffset + kEphBytes;
constexpr std::size_t kRoutingOffset = kMacOffset + kBlockBytes;  // rt_enc, then rest
constexpr std::size_t kStackOffset = kLinkHeaderBytes + kSetupHeaderBytes;
constexpr std::size_t kRecordOffset = kStackOffset + kReturnStackBytes;
constexpr std::size_t kMacMessageBytes =
    kBlockBytes + kEphBytes + kBlockBytes + kSetupRestBytes + kBlockBytes;
constexpr std::uint8_t kParityMask = 0x80;
constexpr std::uint64_t kMsPerSecond = 1000;
constexpr std::uint64_t kHourMs = kHourSeconds * kMsPerSecond;

// rt = type 1 | next 6 | depth 1 | delay 1 | flags 1 | zeros 6
constexpr std::size_t kNextOffset = 1;
constexpr std::size_t kDepthOffset = 7;
constexpr std::size_t kDelayOffset = 8;
constexpr std::size_t kFlagsOffset = 9;
constexpr std::uint8_t kRelayDepthMax = 2;
constexpr std::uint8_t kServiceDepthMax = 3;

constexpr std::size_t kRecordStepBytes = 64;
constexpr std::size_t kRecordMacBytes = kBlockBytes;
constexpr std::uint8_t kRecordMaskLabel = 2;
constexpr std::uint8_t kRecordMacLabel = 3;
constexpr std::uint8_t kStackMaskLabel = 6;
constexpr std::uint8_t kNonceDepthShift = 1;
constexpr std::uint8_t kNonceRandomMask = 0xf8;

Bytes bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

bool is_setup(PacketType type) noexcept {
  return type == PacketType::s0 || type == PacketType::s1;
}

bool are_zero(const std::uint8_t* first, const std::uint8_t* last) noexcept {
  return std::all_of(first, last, [](std::uint8_t byte) { return byte == 0; });
}

// X_h with the parity that the client states: of this hour, the last or the next one (section 3).
const HourKey* hour_key(const RelayTurn& turn, std::uint8_t parity) noexcept {
  const std::uint64_t now = hour_of(turn.now_ms);
  const std::uint64_t into_ms = turn.now_ms - now * kHourMs;
  const auto key_if = [&](bool is_accepted, std::uint64_t hour) {
    return is_accepted && (hour & 1) == parity ? turn.snapshot.hour(hour) : nullptr;
  };
  if (const HourKey* key = key_if(true, now)) {
    return key;
  }
  if (const HourKey* key = key_if(into_ms < kOverlapSeconds * kMsPerSecond, now - 1)) {
    return key;
  }
  return key_if(kHourMs - into_ms <= kSkewSeconds * kMsPerSecond, now + 1);
}

// `next` of a setup packet, as far as its own bytes say whether it is well made.
bool is_next_well_formed(const std::uint8_t* routing) noexcept {
  const std::uint8_t depth = routing[kDepthOffset];
  const std::uint8_t* end = routing + kDepthOffset;
  if (routing[0] == static_cast<std::uint8_t>(NextType::relay)) {
    return depth <= kRelayDepthMax && are_zero(routing + kNextOffset + 4, end);
  }
  if (routing[0] == static_cast<std::uint8_t>(NextType::service)) {
    return depth <= kServiceDepthMax && are_zero(routing + kNextOffset + 2, end);
  }
  return false;
}

bool is_routing_well_formed(const std::uint8_t* routing, bool from_relay) noexcept {
  return is_next_well_formed(routing) && are_zero(routing + kFlagsOffset, routing + kBlockBytes) &&
         (routing[kDepthOffset] == 0) != from_relay;
}

}  // namespace

void Relay::State::open_setups(const RelayTurn& turn) noexcept {
  Burst& burst = turn.burst;
  LaneMask waiting =
      select_lanes(burst.pending(), [&](std::size_t lane) { return is_setup(burst.type[lane]); });
  if (waiting == 0) {
    return;
  }
  Lanes<const HourKey*> key{};
  const bool can_issue = turn.snapshot.epoch(turn.epoch) != nullptr;
  for_each_lane(waiting, [&](std::size_t lane) {
    const std::uint8_t parity = (burst.data[lane][kEphOffset + kEphBytes - 1] & kParityMask) >> 7;
    key[lane] = can_issue ? hour_key(turn, parity) : nullptr;
    if (key[lane] == nullptr) {
      turn.drop(lane, Verdict::s_key);
    }
  });
  waiting &= burst.pending();
  const LaneMask setups = waiting;
  while (waiting != 0) {
    const HourKey* hour = key[static_cast<std::size_t>(std::countr_zero(waiting))];
    const LaneMask same =
        select_lanes(waiting, [&](std::size_t lane) { return key[lane] == hour; });
    agree_on_keys(turn, *hour, same);
    waiting &= ~same;
  }
  parts.probe(Stage::key_agreement);
  for_each_type(burst, setups & burst.pending(), [&](PacketType type, LaneMask lanes) {
    batch.derive(layer_shape(type_info(type)), lanes, secret);
    parts.probe(Stage::derive);
    look_ahead_replay(turn, lanes);
    encrypt_left(turn, type, lanes);
    for_each_lane(lanes, [&](std::size_t lane) {
      const std::uint8_t* packet = burst.data[lane];
      std::uint8_t* text = message[lane].data();
      store_block(text, ctx[lane]);
      std::memcpy(text + kBlockBytes, packet + kEphOffset, kEphBytes);
      std::memcpy(text + kBlockBytes + kEphBytes, packet + kRoutingOffset,
                  kBlockBytes + kSetupRestBytes);
      store_block(text + kMacMessageBytes - kBlockBytes, x_l_out[lane]);
    });
    const LaneMask opened = check_macs(turn, lanes, kMacMessageBytes, kMacOffset);
    for_each_lane(lanes & ~opened, [&](std::size_t lane) { turn.drop(lane, Verdict::header_mac); });
    for_each_lane(opened, [&](std::size_t lane) { read_routing(turn, lane); });
    parts.probe(Stage::routing);
  });
}

// X25519 and HKDF for lanes of one onion key.
void Relay::State::agree_on_keys(const RelayTurn& turn, const HourKey& hour,
                                 LaneMask lanes) noexcept {
  constexpr std::string_view kLabel = "keys";
  std::array<crypto_accel::PublicKey, kBurstMax> points{};
  std::array<crypto_accel::SharedSecret, kBurstMax> shared{};
  std::size_t count = 0;
  for_each_lane(lanes, [&](std::size_t lane) {
    std::memcpy(points[count++].data(), turn.burst.data[lane] + kEphOffset, kEphBytes);
  });
  const LaneMask sound = parts.kernels.x25519->run(hour.private_key, std::span(points).first(count),
                                                   std::span(shared).first(count));
  std::size_t index = 0;
  for_each_lane(lanes, [&](std::size_t lane) {
    const std::size_t point = index++;
    if ((sound & lane_bit(point)) == 0) {
      return turn.drop(lane, Verdict::s_dh);
    }
    std::array<std::uint8_t, kLabel.size() + 2 * kEphBytes> info{};
    std::uint8_t* at = std::copy(kLabel.begin(), kLabel.end(), info.data());
    at = std::copy(points[point].begin(), points[point].end(), at);
    std::copy(hour.public_key.begin(), hour.public_key.end(), at);
    Secret<4 * kBlockBytes> okm;
    crypto_accel::hkdf_sha256(bytes_of("allium1 setup"), shared[point], info, okm.bytes());
    secret[lane] = load_block(okm.data());
    set_up |= lane_bit(lane);
    setup[lane].k_hdr = load_block(okm.data() + kBlockBytes);
    setup[lane].k_ret = load_block(okm.data() + 2 * kBlockBytes);
    setup[lane].k_rec = load_block(okm.data() + 3 * kBlockBytes);
  });
  wipe(shared.data(), sizeof shared);
}

// One stream opens rt and makes SHDR': rt_enc, rest and 64 zeros stand in a row.
void Relay::State::read_routing(const RelayTurn& turn, std::size_t lane) noexcept {
  Setup& own = setup[lane];
  own.opened = {};
  std::memcpy(own.opened.data(), turn.burst.data[lane] + kRoutingOffset,
              kBlockBytes + kSetupRestBytes);
  crypto_accel::ctr_xor(own.k_hdr, Block{}, own.opened);
  const std::uint8_t* routing = own.opened.data();
  if (!is_routing_well_formed(routing, turn.burst.from_relay[lane])) {
    return turn.drop(lane, Verdict::rt);
  }
  next[lane].type = static_cast<NextType>(routing[0]);
  std::copy_n(routing + kNextOffset, next[lane].bytes.size(), next[lane].bytes.data());
  own.depth = routing[kDepthOffset];
  own.delay_10ms = routing[kDelayOffset];
}

void Relay::State::finish_setup(const RelayTurn& turn, std::size_t lane) noexcept {
  Burst& burst = turn.burst;
  Next previous;
  if (const Verdict verdict = previous_hop(turn, lane, previous); verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  std::uint8_t* record = nullptr;
  if (burst.type[lane] == PacketType::s1) {
    record = burst.data[lane] + kRecordOffset;
    if (const Verdict verdict = add_record(turn, lane, previous, record);
        verdict != Verdict::pending) {
      return turn.drop(lane, verdict);
    }
  }
  if (next[lane].type == NextType::service) {
    ReturnContext context;
    context.previous_type = previous.type;
    context.previous = previous.bytes;
    context.k_ret = setup[lane].k_ret;
    context.depth = setup[lane].depth;
    std::memcpy(context.live.data(), burst.data[lane] + kStackOffset,
                kReturnBlockBytes * context.depth);
    terminate(turn, lane, &context, record);
    wipe(&context, sizeof context);
    return;
  }
  push_return_block(turn, lane, previous);
  std::memcpy(burst.data[lane] + kLinkHeaderBytes, setup[lane].opened.data() + kBlockBytes,
              kSetupHeaderBytes);
  burst.delay_10ms[lane] = setup[lane].delay_10ms;
  send_on(turn, lane, next[lane]);
}

Verdict Relay::State::previous_hop(const RelayTurn& turn, std::size_t lane,
                                   Next& previous) noexcept {
  const Burst& burst = turn.burst;
  const Endpoint& source = burst.source[lane];
  if (burst.from_relay[lane]) {
    previous.type = NextType::relay;
    store_be(previous.bytes.data(), burst.previous[lane], 4);
    return Verdict::pending;
  }
  if (source.is_v4()) {
    previous.type = NextType::v4;
    std::copy_n(source.v4(), 4, previous.bytes.data());
    store_be(previous.bytes.data() + 4, source.port, 2);
    return Verdict::pending;
  }
  const std::optional<std::uint64_t> handle = parts.handles->use(source, turn.epoch);
  if (!handle) {
    return Verdict::handle;
  }
  previous.type = NextType::handle;
  store_be(previous.bytes.data(), *handle, previous.bytes.size());
  return Verdict::pending;
}

// REC': this hop's segments and secret in front, what was there behind, all under the hop's mask.
Verdict Relay::State::add_record(const RelayTurn& turn, std::size_t lane, const Next& previous,
                                 std::uint8_t* record) noexcept {
  const RelaySnapshot::Epoch& epoch = *turn.snapshot.epoch(turn.epoch);
  std::uint64_t salt = 0;
  if (!parts.salt.take(parts.salt.state, turn.epoch, salt) || salt > internal::kSaltMax) {
    return Verdict::tx_full;
  }
  internal::Segment segment;
  segment.next = next[lane];
  segment.exp = expiry_of_epoch(turn.epoch);
  store_be(segment.salt.data(), salt, segment.salt.size());
  std::memmove(record + kRecordStepBytes, record, kRecordBytes - kRecordStepBytes);
  const Block plain = internal::plain_segment(Direction::forward, segment);
  store_block(record, crypto_accel::aes_encrypt(epoch.segment_raw, plain));
  store_block(record + 2 * kBlockBytes,
              crypto_accel::aes_encrypt(epoch.secret_raw, internal::secret_input(plain)));
  segment.next = previous;
  store_block(record + kBlockBytes, internal::seal_segment(epoch, Direction::backward, segment));

  // The MAC covers the hop's three blocks and the old record, which its own place divides.
  std::array<std::uint8_t, kRecordBytes - kRecordMacBytes> text{};
  std::memcpy(text.data(), record, kRecordStepBytes - kRecordMacBytes);
  std::memcpy(text.data() + kRecordStepBytes - kRecordMacBytes, record + kRecordStepBytes,
              kRecordBytes - kRecordStepBytes);
  const Block& k_rec = setup[lane].k_rec;
  Block mac_key = internal::derive(k_rec, kRecordMacLabel, Direction::forward, 0);
  Block mask_key = internal::derive(k_rec, kRecordMaskLabel, Direction::forward, 0);
  store_block(record + kRecordStepBytes - kRecordMacBytes, crypto_accel::cbcmac(mac_key, text));
  crypto_accel::ctr_xor(mask_key, Block{}, MutableBytes(record, kRecordBytes));
  wipe(text.data(), text.size());
  wipe(mac_key.data(), mac_key.size());
  wipe(mask_key.data(), mask_key.size());
  return Verdict::pending;
}

// RSTACK': this hop's block, the live ones masked, fresh random behind. Nothing of the old stack beyond
// the live blocks survives: it is authenticated by nobody.
void Relay::State::push_return_block(const RelayTurn& turn, std::size_t lane,
                                     const Next& previous) noexcept {
  constexpr std::size_t kTextBytes = kBlockBytes + 6 + 2;
  const RelaySnapshot::Epoch& epoch = *turn.snapshot.epoch(turn.epoch);
  const Setup& own = setup[lane];
  const std::size_t live_bytes = kReturnBlockBytes * own.depth;
  std::uint8_t* stack = turn.burst.data[lane] + kStackOffset;
  std::memmove(stack + kReturnBlockBytes, stack, live_bytes);
  const MutableBytes masked(stack + kReturnBlockBytes, live_bytes);
  Block mask_key = internal::derive(own.k_ret, kStackMaskLabel, Direction::backward, 0);
  crypto_accel::ctr_xor(mask_key, Block{}, masked);
  wipe(mask_key.data(), mask_key.size());

  const std::span<std::uint8_t, crypto_accel::kGcmNonceBytes> nonce(stack,
                                                                    crypto_accel::kGcmNonceBytes);
  parts.random(nonce);
  const auto depth_bits = static_cast<unsigned>(own.depth << kNonceDepthShift);
  const auto epoch_bit = static_cast<unsigned>(turn.epoch & 1);
  nonce[0] = static_cast<std::uint8_t>((nonce[0] & kNonceRandomMask) | depth_bits | epoch_bit);
  std::uint8_t* text = stack + crypto_accel::kGcmNonceBytes;
  store_block(text, own.k_ret);
  std::copy(previous.bytes.begin(), previous.bytes.end(), text + kBlockBytes);
  const std::uint64_t expiry = (unit10_of(turn.now_ms) + kReturnLife10s) & 0xfff;
  store_be(text + kTextBytes - 2, static_cast<std::uint64_t>(previous.type) << 12 | expiry, 2);
  crypto_accel::gcm_seal(epoch.return_block, nonce, masked, MutableBytes(text, kTextBytes),
                         std::span<std::uint8_t, crypto_accel::kGcmTagBytes>(
                             text + kTextBytes, crypto_accel::kGcmTagBytes));
  const std::size_t used = kReturnBlockBytes + live_bytes;
  parts.random({stack + used, kReturnStackBytes - used});
}

}  // namespace allium::onion
