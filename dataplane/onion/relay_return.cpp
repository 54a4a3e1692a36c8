// SPDX-License-Identifier: Apache-2.0

// R packets on their way back (SPEC.md section 11).

#include <cstring>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/internal/relay_state.hpp"

namespace allium::onion {

using internal::for_each_lane;
using internal::lanes_of_type;

namespace {

constexpr std::size_t kStackOffset = kLinkHeaderBytes;
constexpr std::size_t kTextOffset = kStackOffset + crypto_accel::kGcmNonceBytes;
constexpr std::size_t kTextBytes = kBlockBytes + 6 + 2;
constexpr std::size_t kLiveOffset = kStackOffset + kReturnBlockBytes;
constexpr std::uint8_t kDepthMax = 2;
constexpr std::uint8_t kStackMaskLabel = 6;
constexpr std::uint8_t kStackTagLabel = 7;
constexpr std::uint64_t kExpiryMask = 0xfff;

struct Opened {
  Verdict verdict = Verdict::r_block;
  Block k_ret{};
  internal::Next previous;
  std::uint8_t depth = 0;
};

// The block of RSTACK that this relay sealed on the way out.
Opened open_block(const RelayTurn& turn, const std::uint8_t* packet) noexcept {
  Opened opened;
  const std::uint8_t first = packet[kStackOffset];
  const std::uint64_t number = turn.epoch - ((turn.epoch ^ first) & 1);
  const RelaySnapshot::Epoch* epoch = turn.snapshot.epoch(number);
  // Before anything is sliced by it: nobody has authenticated the depth yet.
  opened.depth = first >> 1 & 3;
  if (opened.depth > kDepthMax || epoch == nullptr) {
    return opened;
  }
  Secret<kTextBytes> text;
  std::memcpy(text.data(), packet + kTextOffset, kTextBytes);
  const std::span<const std::uint8_t, crypto_accel::kGcmNonceBytes> nonce(
      packet + kStackOffset, crypto_accel::kGcmNonceBytes);
  const std::span<const std::uint8_t, crypto_accel::kGcmTagBytes> tag(
      packet + kTextOffset + kTextBytes, crypto_accel::kGcmTagBytes);
  if (!crypto_accel::gcm_open(epoch->return_block, nonce,
                              Bytes(packet + kLiveOffset, kReturnBlockBytes * opened.depth),
                              text.bytes(), tag)) {
    return opened;
  }
  const std::uint64_t meta = load_be(text.data() + kTextBytes - 2, 2);
  const std::uint64_t left = (meta - unit10_of(turn.now_ms)) & kExpiryMask;
  if (left < 1 || left > kReturnLife10s) {
    opened.verdict = Verdict::r_expired;
    return opened;
  }
  opened.verdict = Verdict::pending;
  opened.k_ret = load_block(text.data());
  opened.previous.type = static_cast<NextType>(meta >> 12);
  std::memcpy(opened.previous.bytes.data(), text.data() + kBlockBytes,
              opened.previous.bytes.size());
  return opened;
}

}  // namespace

void Relay::State::open_returns(const RelayTurn& turn) noexcept {
  Burst& burst = turn.burst;
  const LaneMask lanes = lanes_of_type(burst, burst.pending(), PacketType::r);
  for_each_lane(lanes, [&](std::size_t lane) {
    Opened opened = open_block(turn, burst.data[lane]);
    if (opened.verdict != Verdict::pending) {
      return turn.drop(lane, opened.verdict);
    }
    secret[lane] = opened.k_ret;
    next[lane] = opened.previous;
    turned_back |= internal::lane_bit(lane);
    returned[lane] = {opened.k_ret, opened.depth};
    wipe(opened.k_ret.data(), opened.k_ret.size());
  });
  const LaneMask good = lanes & burst.pending();
  if (good != 0) {
    batch.derive(layer_shape(type_info(PacketType::r)), good, secret);
    look_ahead_replay(turn, good);
    encrypt_left(turn, PacketType::r, good);
  }
}

// RSTACK': the live blocks without their mask, or the client's mark; fresh random behind.
void Relay::State::finish_return(const RelayTurn& turn, std::size_t lane) noexcept {
  const Return& own = returned[lane];
  std::uint8_t* stack = turn.burst.data[lane] + kStackOffset;
  std::size_t used = kReturnBlockBytes * own.depth;
  if (own.depth > 0) {
    std::memmove(stack, stack + kReturnBlockBytes, used);
    Block mask_key = internal::derive(own.k_ret, kStackMaskLabel, Direction::backward, 0);
    crypto_accel::ctr_xor(mask_key, Block{}, MutableBytes(stack, used));
    wipe(mask_key.data(), mask_key.size());
  } else {
    used = kBlockBytes;
    store_block(stack, internal::derive(own.k_ret, kStackTagLabel, Direction::backward, 0));
  }
  parts.random({stack + used, kReturnStackBytes - used});
  send_on(turn, lane, next[lane]);
}

}  // namespace allium::onion
