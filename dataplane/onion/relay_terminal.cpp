// SPDX-License-Identifier: Apache-2.0

// Where a path ends: the four services and what they answer by themselves (SPEC.md section 12.1).
//
// An answer that cannot be made takes the delivery back, so what can fail comes first (`prepare_*`), then
// the sink, then what changes anything.

#include <algorithm>
#include <cstring>

#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

namespace {

constexpr std::size_t kFlowBytes = 8;
constexpr std::uint64_t kControlBit = std::uint64_t{1} << 63;

// BRIDGE control: cmd 1 | status 1 | life 2 | zeros 4 | cookie 8 | owner 16 | RB_D 160 | RB_V 128
constexpr std::uint8_t kRegister = 1;
constexpr std::uint8_t kRemove = 2;
constexpr std::uint8_t kAnswerBit = 0x80;
constexpr std::size_t kStatusOffset = 1;
constexpr std::size_t kLifeOffset = 2;
constexpr std::size_t kZerosOffset = 4;
constexpr std::size_t kCookieOffset = 8;
constexpr std::size_t kOwnerOffset = 16;
constexpr std::size_t kReplyDOffset = 32;
constexpr std::size_t kReplyVOffset = kReplyDOffset + kReplyBlockBytesD;
constexpr std::size_t kAnswerBytes = 16;
constexpr std::uint64_t kLifeMax = 1200;
constexpr std::uint64_t kMsPerSecond = 1000;

bool is_known(std::uint64_t service) noexcept {
  return service >= static_cast<std::uint64_t>(Service::storage) &&
         service <= static_cast<std::uint64_t>(Service::drop);
}

std::uint64_t flow_of(const std::uint8_t* t) noexcept {
  return load_be(t, kFlowBytes);
}

std::uint64_t seq_of(const std::uint8_t* t) noexcept {
  return load_be(t + kFlowBytes, 8);
}

struct BridgeControl {
  explicit BridgeControl(const std::uint8_t* x_r) noexcept
      : command(x_r[0]),
        life_s(load_be(x_r + kLifeOffset, 2)),
        cookie(load_be(x_r + kCookieOffset, 8)),
        are_reserved_zero(x_r[kStatusOffset] == 0 && load_be(x_r + kZerosOffset, 4) == 0) {
    std::copy_n(x_r + kOwnerOffset, leg.owner.size(), leg.owner.data());
    std::copy_n(x_r + kReplyDOffset, leg.reply_block_d.size(), leg.reply_block_d.data());
    std::copy_n(x_r + kReplyVOffset, leg.reply_block_v.size(), leg.reply_block_v.data());
  }

  [[nodiscard]] bool is_well_formed() const noexcept {
    const bool is_registration = command == kRegister && life_s >= 1 && life_s <= kLifeMax;
    return are_reserved_zero && cookie != 0 && (is_registration || command == kRemove);
  }

  std::uint8_t command;
  std::uint64_t life_s;
  std::uint64_t cookie;
  bool are_reserved_zero;
  BridgeLeg leg;
};

}  // namespace

void Relay::State::terminate(const RelayTurn& turn, std::size_t lane, const ReturnContext* context,
                             const std::uint8_t* record) noexcept {
  const std::uint64_t number = load_be(next[lane].bytes.data(), 2);
  if (!is_known(number)) {
    return turn.drop(lane, Verdict::svc_unknown);
  }
  const auto service = static_cast<Service>(number);
  const bool is_path_open = record != nullptr;
  if (is_path_open || (service == Service::echo && context != nullptr)) {
    return answer_setup(turn, lane, service, *context, record);
  }
  switch (service) {
    case Service::echo:
      return echo_data(turn, lane);
    case Service::bridge:
      return bridge_packet(turn, lane, context);
    case Service::storage:
    case Service::drop:
      turn.drop(lane, deliver(turn, lane, service, context) ? Verdict::deliver : Verdict::rate);
  }
}

bool Relay::State::deliver(const RelayTurn& turn, std::size_t lane, Service service,
                           const ReturnContext* context) noexcept {
  if (parts.sink.deliver == nullptr) {
    return true;
  }
  const PacketType type = turn.burst.type[lane];
  const TypeInfo& info = type_info(type);
  const std::uint8_t* packet = turn.burst.data[lane];
  return parts.sink.deliver(
      parts.sink.state, Delivery{static_cast<std::uint16_t>(service), type, packet + info.t_offset,
                                 packet + info.x_r_offset, info.x_r_bytes, context});
}

// The answer to S1 (path open) and to S0 at ECHO: R with seq 0.
void Relay::State::answer_setup(const RelayTurn& turn, std::size_t lane, Service service,
                                const ReturnContext& context, const std::uint8_t* record) noexcept {
  Origin origin;
  if (const Verdict verdict = prepare_return(turn, context, origin); verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  if (!deliver(turn, lane, service, &context)) {
    return turn.drop(lane, Verdict::rate);
  }
  const TypeInfo& request = type_info(turn.burst.type[lane]);
  const TypeInfo& answer = type_info(PacketType::r);
  std::uint8_t* packet = turn.burst.data[lane];
  std::array<std::uint8_t, 1056> body{};
  static_assert(body.size() == type_info(PacketType::r).x_r_bytes);
  std::size_t used = 0;
  if (record != nullptr) {
    std::copy_n(record, kRecordBytes, body.data());
    used = kRecordBytes;
  }
  if (service == Service::echo) {
    std::copy_n(packet + request.x_r_offset, request.x_r_bytes, body.data() + used);
  } else {
    store_be(body.data() + used, turn.now_ms, 8);
  }
  std::copy(body.begin(), body.end(), packet + answer.x_r_offset);
  turn.burst.verdict[lane] = Verdict::deliver;
  originate(turn, lane, origin, 0);
}

void Relay::State::echo_data(const RelayTurn& turn, std::size_t lane) noexcept {
  const TypeInfo& info = type_info(turn.burst.type[lane]);
  const std::uint8_t* packet = turn.burst.data[lane];
  Origin origin;
  const Verdict verdict = prepare_block(turn, info.packet_class, packet + info.x_r_offset, origin);
  if (verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  if (!deliver(turn, lane, Service::echo, nullptr)) {
    return turn.drop(lane, Verdict::rate);
  }
  turn.burst.verdict[lane] = Verdict::deliver;
  originate(turn, lane, origin, seq_of(packet + info.t_offset));
}

void Relay::State::bridge_packet(const RelayTurn& turn, std::size_t lane,
                                 const ReturnContext* context) noexcept {
  if (context != nullptr) {  // S0
    return turn.drop(lane, Verdict::svc_malformed);
  }
  const PacketType type = turn.burst.type[lane];
  const std::uint64_t flow = flow_of(turn.burst.data[lane] + type_info(type).t_offset);
  if (flow != 0) {
    return bridge_data(turn, lane, flow);
  }
  if (type != PacketType::df) {
    return turn.drop(lane, Verdict::svc_malformed);
  }
  bridge_control(turn, lane);
}

void Relay::State::bridge_data(const RelayTurn& turn, std::size_t lane,
                               std::uint64_t cookie) noexcept {
  const PacketClass packet_class = type_info(turn.burst.type[lane]).packet_class;
  const std::optional<BridgeLeg> leg = parts.bridge->find(cookie, turn.now_ms);
  if (!leg) {
    return turn.drop(lane, Verdict::svc_cookie);
  }
  const std::uint8_t* reply_block =
      packet_class == PacketClass::d ? leg->reply_block_d.data() : leg->reply_block_v.data();
  Origin origin;
  const Verdict verdict = prepare_block(turn, packet_class, reply_block, origin);
  if (verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  if (!deliver(turn, lane, Service::bridge, nullptr)) {
    return turn.drop(lane, Verdict::rate);
  }
  const std::optional<std::uint64_t> seq =
      parts.bridge->take_number(load_block(reply_block), packet_class, turn.now_ms);
  if (!seq) {
    return turn.drop(lane, Verdict::rate);
  }
  turn.burst.verdict[lane] = Verdict::deliver;
  originate(turn, lane, origin, *seq);
}

void Relay::State::bridge_control(const RelayTurn& turn, std::size_t lane) noexcept {
  const TypeInfo& info = type_info(PacketType::df);
  std::uint8_t* x_r = turn.burst.data[lane] + info.x_r_offset;
  BridgeControl control(x_r);
  if (!control.is_well_formed()) {
    return turn.drop(lane, Verdict::svc_malformed);
  }
  Origin origin;
  const Verdict verdict =
      prepare_block(turn, PacketClass::d, control.leg.reply_block_d.data(), origin);
  if (verdict != Verdict::pending) {
    return turn.drop(lane, verdict);
  }
  if (!deliver(turn, lane, Service::bridge, nullptr)) {
    return turn.drop(lane, Verdict::rate);
  }
  control.leg.until_ms = turn.now_ms + control.life_s * kMsPerSecond;
  const BridgeStatus status =
      control.command == kRegister
          ? parts.bridge->add(control.cookie, control.leg, turn.now_ms)
          : parts.bridge->remove(control.cookie, control.leg.owner, turn.now_ms);
  if (status == BridgeStatus::full) {
    return turn.drop(lane, Verdict::rate);
  }
  const std::uint64_t seq = kControlBit | seq_of(turn.burst.data[lane] + info.t_offset);
  x_r[0] = static_cast<std::uint8_t>(x_r[0] | kAnswerBit);
  x_r[kStatusOffset] = static_cast<std::uint8_t>(status);
  std::memset(x_r + kAnswerBytes, 0, info.x_r_bytes - kAnswerBytes);
  turn.burst.verdict[lane] = Verdict::deliver;
  originate(turn, lane, origin, seq);
}

}  // namespace allium::onion
