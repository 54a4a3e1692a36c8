// SPDX-License-Identifier: Apache-2.0
#include "tools/client/client_path.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "dataplane/onion/time_index.hpp"
#include "tools/client/setup_exchange.hpp"

namespace allium::client {
namespace {

using onion::PacketClass;

// Relays are within 2 s of UTC: just after a change of epoch the entry may still be in the old one, whose
// segments end ten minutes earlier. Counting from the earlier epoch only renews earlier.
constexpr std::uint64_t kClockDoubtMs = 2000;

}  // namespace

std::uint64_t path_end_ms(std::uint64_t sent_unix_ms) noexcept {
  const std::uint64_t epoch = onion::epoch_of(sent_unix_ms - kClockDoubtMs);
  return (onion::kEpochSeconds * (epoch + 2) - onion::kSkewSeconds) * 1000;
}

std::uint64_t path_renewal_ms(std::uint64_t sent_unix_ms, const Random& random) {
  const std::uint64_t life_ms = path_end_ms(sent_unix_ms) - sent_unix_ms;
  return sent_unix_ms + life_ms / 2 + random_below(life_ms * 3 / 10, random);
}

std::int64_t random_phase_ms(const Random& random) {
  return static_cast<std::int64_t>(random_below(2 * kPhaseMsMax + 1, random)) - kPhaseMsMax;
}

ClientPath::ClientPath(PathPlan plan, onion::PathSession session, std::int64_t phase_ms,
                       std::uint64_t sent_unix_ms, const Random& random)
    : plan_(std::move(plan)),
      session_(std::move(session)),
      phase_ms_(phase_ms),
      end_ms_(path_end_ms(sent_unix_ms)),
      renewal_ms_(path_renewal_ms(sent_unix_ms, random)),
      random_(random) {
  std::array<std::uint8_t, 8> flow;
  random_(flow);
  flow_ = load_be(flow.data(), flow.size());
}

std::size_t ClientPath::payload_bytes(PacketClass packet_class) noexcept {
  const auto type = onion::data_type(packet_class, onion::Direction::forward);
  return onion::type_info(type).x_r_bytes - onion::reply_block_bytes(packet_class);
}

Result<ClientPath::Sent> ClientPath::build(PacketClass packet_class, Bytes payload,
                                           std::uint64_t unix_ms) {
  ClassState& state = state_of(packet_class);
  if (payload.size() > payload_bytes(packet_class)) {
    return fail(Errc::out_of_range, "the payload does not fit behind the reply block");
  }
  if (!state.reply_block) {
    Result<onion::ReplyBlock> block =
        onion::build_reply_block(packet_class, session_.hops(), random_);
    if (!block) {
      return tl::unexpected(block.error());
    }
    state.reply_block = *block;
  }
  std::array<std::uint8_t, 1072> data;
  const Bytes block = state.reply_block->view();
  std::copy(block.begin(), block.end(), data.begin());
  std::copy(payload.begin(), payload.end(),
            data.begin() + static_cast<std::ptrdiff_t>(block.size()));
  const std::uint64_t seq = state.next_seq;
  Result<onion::Datagram> datagram = onion::build_data(
      packet_class, onion::slot_of(phased_ms(unix_ms, phase_ms_)), session_.hops(),
      onion::flow_and_seq(flow_, seq), Bytes(data).first(block.size() + payload.size()), random_);
  if (!datagram) {
    return tl::unexpected(datagram.error());
  }
  ++state.next_seq;
  return Sent{seq, *datagram};
}

bool ClientPath::owns(const onion::BackwardEnvelope& envelope) const noexcept {
  if (envelope.type != onion::PacketType::db && envelope.type != onion::PacketType::vb) {
    return false;
  }
  const ClassState& state = class_state_[envelope.type == onion::PacketType::vb ? 1 : 0];
  return state.reply_block &&
         equal(state.reply_block->session_tag.data(), envelope.look_up.data(), kBlockBytes);
}

std::optional<ClientPath::Received> ClientPath::open(Bytes datagram, std::uint64_t unix_ms,
                                                     IgnoredCounts& ignored) {
  const bool voice = (datagram[0] & 15) == static_cast<std::uint8_t>(onion::PacketType::vb);
  const PacketClass packet_class = voice ? PacketClass::v : PacketClass::d;
  std::array<const Secret<16>*, onion::kHopsMax> secrets{};
  for (std::size_t i = 0; i < session_.hop_count; ++i) {
    secrets[i] = &session_.hop[i].secret;
  }
  auto packet = onion::open_backward(
      packet_class, phased_ms(unix_ms, phase_ms_),
      std::span<const Secret<16>* const>(secrets).first(session_.hop_count), datagram);
  if (!packet) {
    switch (packet.error()) {
      case onion::BackwardRefusal::malformed:
        ++ignored.unknown;
        break;
      case onion::BackwardRefusal::slot:
        ++ignored.slot;
        break;
      case onion::BackwardRefusal::client_tag:
        ++ignored.client_tag;
        break;
      case onion::BackwardRefusal::zero:
        ++ignored.zero;
        break;
    }
    return std::nullopt;
  }
  if (!state_of(packet_class).window[packet->seq >> 63].accept(packet->seq)) {
    ++ignored.repeated;
    return std::nullopt;
  }
  return Received{packet_class, *packet};
}

}  // namespace allium::client
