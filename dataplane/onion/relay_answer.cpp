// SPDX-License-Identifier: Apache-2.0

// Backward packets that start here: over a return context or a reply block (SPEC.md sections 8 and 11).

#include <algorithm>
#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::lane_bit;
using internal::Next;

namespace {

constexpr std::uint8_t kDepthMax = 3;
constexpr std::uint8_t kMacLabel = 3;  // j of K_m
constexpr std::uint8_t kStackTagLabel = 7;
constexpr std::uint8_t kReplyBlockLabel = 0x80;
constexpr std::size_t kReplyMacOffset = kSegmentBytes;
constexpr std::size_t kReplyHeaderOffset = kSegmentBytes + kBlockBytes;
constexpr std::size_t kReplyMessageBytesMax =
    kBlockBytes + kSegmentBytes + kHeaderBlockBytes * kBlocksD;

// gamma_RB under the session secret s.
bool is_reply_block_of(const Block& secret, PacketClass packet_class,
                       const std::uint8_t* reply_block) noexcept {
  const auto class_byte = static_cast<std::uint8_t>(packet_class);
  const std::size_t header_bytes = kHeaderBlockBytes * header_blocks(packet_class);
  std::array<std::uint8_t, kReplyMessageBytesMax> text{};
  store_block(text.data(),
              layer_context(Direction::backward,
                            static_cast<std::uint8_t>(class_byte | kReplyBlockLabel), 0));
  std::memcpy(text.data() + kBlockBytes, reply_block, kSegmentBytes);
  std::memcpy(text.data() + kBlockBytes + kSegmentBytes, reply_block + kReplyHeaderOffset,
              header_bytes);
  Block key = internal::derive(secret, kMacLabel, Direction::backward, class_byte);
  const Block mac =
      crypto_accel::cbcmac(key, Bytes(text).first(kBlockBytes + kSegmentBytes + header_bytes));
  wipe(key.data(), key.size());
  return equal(mac.data(), reply_block + kReplyMacOffset, mac.size());
}

// The segment of a reply block and its session secret, under the epoch whose MAC holds.
std::optional<Next> open_reply_block(const RelayTurn& turn, PacketClass packet_class,
                                     const std::uint8_t* reply_block, Block& secret) noexcept {
  for (const std::uint64_t number : {turn.epoch, turn.epoch - 1}) {
    const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(number);
    if (epoch == nullptr) {
      continue;
    }
    const Block plain = crypto_accel::aes_decrypt(epoch->segment_raw, load_block(reply_block));
    if (internal::judge_segment(plain, Direction::backward, unit10_of(turn.now_ms)) !=
        Verdict::pending) {
      continue;
    }
    secret = crypto_accel::aes_encrypt(epoch->secret_raw, internal::secret_input(plain));
    if (is_reply_block_of(secret, packet_class, reply_block)) {
      return internal::next_of_segment(plain);
    }
  }
  wipe(secret.data(), secret.size());
  return std::nullopt;
}

void put_data(const Burst& burst, std::size_t lane, PacketType type, Bytes data) noexcept {
  const TypeInfo& info = type_info(type);
  std::uint8_t* x_r = burst.data[lane] + info.x_r_offset;
  std::memset(x_r, 0, info.x_r_bytes);
  std::copy(data.begin(), data.end(), x_r);
}

}  // namespace

Verdict Relay::State::prepare_return(const RelayTurn& turn, const ReturnContext& context,
                                     Origin& origin) noexcept {
  if (context.depth > kDepthMax) {
    return Verdict::svc_malformed;
  }
  origin.type = PacketType::r;
  origin.secret = context.k_ret;
  std::size_t used = kReturnBlockBytes * context.depth;
  if (context.depth > 0) {
    std::copy_n(context.live.data(), used, origin.header.data());
  } else {
    used = kBlockBytes;
    store_block(origin.header.data(),
                internal::derive(context.k_ret, kStackTagLabel, Direction::backward, 0));
  }
  parts.random(MutableBytes(origin.header).subspan(used));
  return route(turn, {context.previous_type, context.previous}, origin.target);
}

Verdict Relay::State::prepare_block(const RelayTurn& turn, PacketClass packet_class,
                                    const std::uint8_t* reply_block, Origin& origin) noexcept {
  const std::optional<Next> next_hop =
      open_reply_block(turn, packet_class, reply_block, origin.secret);
  if (!next_hop) {
    return Verdict::svc_malformed;
  }
  origin.type = data_type(packet_class, Direction::backward);
  std::copy_n(reply_block + kReplyHeaderOffset, kHeaderBlockBytes * header_blocks(packet_class),
              origin.header.data());
  return route(turn, *next_hop, origin.target);
}

void Relay::State::originate(const RelayTurn& turn, std::size_t lane, const Origin& origin,
                             std::uint64_t seq) noexcept {
  Burst& burst = turn.burst;
  const TypeInfo& info = type_info(origin.type);
  const LaneMask only = lane_bit(lane);
  burst.type[lane] = origin.type;
  burst.slot[lane] = turn.slot;
  burst.bytes[lane] = info.total_bytes;
  burst.outgoing[lane] = Outgoing::answer;
  burst.target[lane] = origin.target;
  std::copy_n(origin.header.data(), info.header_bytes, burst.data[lane] + kLinkHeaderBytes);
  x_l[lane] = {};
  store_be(x_l[lane].data() + 8, seq, 8);
  store_block(burst.data[lane] + info.t_offset, x_l[lane]);
  secret[lane] = origin.secret;
  batch.derive(layer_shape(info), only, secret);
  encrypt_left(turn, origin.type, only);
  batch.layer_right(layer_shape(info), only, x_l_out,
                    internal::write_at(burst, only, info.x_r_offset), w);
  store_block(burst.data[lane] + info.t_offset, x_l_out[lane]);
  to_tag |= origin.target.to_relay ? 0 : only;
}

void Relay::reply_return(const RelaySnapshot& snapshot, const ReturnContext& context,
                         std::uint64_t seq, Bytes data, Burst& burst, std::size_t lane,
                         std::uint64_t now_ms) noexcept {
  ALLIUM_CHECK(lane < burst.count);
  State& state = *state_;
  const RelayTurn turn{snapshot, burst, now_ms};
  burst.outgoing[lane] = Outgoing::none;
  if (data.size() > type_info(PacketType::r).x_r_bytes) {
    return turn.drop(lane, Verdict::svc_malformed);
  }
  Origin origin;
  const Verdict verdict = state.prepare_return(turn, context, origin);
  if (verdict == Verdict::pending) {
    put_data(burst, lane, origin.type, data);
    state.originate(turn, lane, origin, seq);
    state.tag_clients(turn);
  }
  burst.verdict[lane] = verdict == Verdict::pending ? Verdict::forward : verdict;
  state.wipe_scratch();
}

void Relay::reply_block(const RelaySnapshot& snapshot, PacketClass packet_class, Bytes reply_block,
                        std::uint64_t seq, Bytes data, Burst& burst, std::size_t lane,
                        std::uint64_t now_ms) noexcept {
  ALLIUM_CHECK(lane < burst.count);
  ALLIUM_CHECK(packet_class == PacketClass::d || packet_class == PacketClass::v);
  State& state = *state_;
  const RelayTurn turn{snapshot, burst, now_ms};
  burst.outgoing[lane] = Outgoing::none;
  const TypeInfo& info = type_info(data_type(packet_class, Direction::backward));
  if (reply_block.size() != reply_block_bytes(packet_class) || data.size() > info.x_r_bytes) {
    return turn.drop(lane, Verdict::svc_malformed);
  }
  Origin origin;
  const Verdict verdict = state.prepare_block(turn, packet_class, reply_block.data(), origin);
  if (verdict == Verdict::pending) {
    put_data(burst, lane, origin.type, data);
    state.originate(turn, lane, origin, seq);
    state.tag_clients(turn);
  }
  burst.verdict[lane] = verdict == Verdict::pending ? Verdict::forward : verdict;
  state.wipe_scratch();
}

}  // namespace allium::onion
