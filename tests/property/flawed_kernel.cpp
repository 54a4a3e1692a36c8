// SPDX-License-Identifier: Apache-2.0
#include "tests/property/flawed_kernel.hpp"

#include <array>
#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "dataplane/onion/internal/client_layer.hpp"
#include "dataplane/onion/internal/lanes.hpp"
#include "dataplane/onion/time_index.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::property {
namespace {

using crypto_accel::AesKey;
using crypto_accel::LaneMask;
using crypto_accel::Lanes;
using crypto_accel::LayerShape;
using crypto_accel::LinkKey;
using crypto_accel::OnionKernel;
using onion::internal::for_each_lane;

thread_local FlawedMoment flawed_moment;

const OnionKernel& sound_kernel() {
  static const OnionKernel& kernel = *sound_kernels().onion;
  return kernel;
}

/// The state of the kernel behind, and what the flaws need to remember of a lane.
struct FlawedState {
  void* sound = nullptr;
  LayerShape shape{};
  Lanes<Block> secret{};
  Lanes<std::array<std::uint8_t, 1072>> undone{};
  Lanes<const std::uint8_t*> datagram{};
  Lanes<const std::uint8_t*> opened{};  ///< the datagram whose segment was opened
  std::uint64_t next_tag = 0;
};

FlawedState& state_of(void* state) noexcept {
  return *static_cast<FlawedState*>(state);
}

void* create() {
  auto* state = new FlawedState;
  state->sound = sound_kernel().create();
  return state;
}

void destroy(void* state) noexcept {
  sound_kernel().destroy(state_of(state).sound);
  delete static_cast<FlawedState*>(state);
}

void expand_key(void* state, const Block& key, AesKey& expanded) noexcept {
  sound_kernel().expand_key(state_of(state).sound, key, expanded);
}

void decrypt_blocks(void* state, const AesKey& key, LaneMask lanes,
                    const Lanes<const std::uint8_t*>& source, Lanes<Block>& plain) noexcept {
  for_each_lane(lanes, [&](std::size_t lane) {
    state_of(state).opened[lane] = source[lane] - onion::kLinkHeaderBytes;
  });
  sound_kernel().decrypt_blocks(state_of(state).sound, key, lanes, source, plain);
}

void encrypt_blocks(void* state, const AesKey& key, LaneMask lanes, const Lanes<Block>& source,
                    Lanes<Block>& target) noexcept {
  sound_kernel().encrypt_blocks(state_of(state).sound, key, lanes, source, target);
}

void derive(void* state, const LayerShape& shape, LaneMask lanes,
            const Lanes<Block>& secret) noexcept {
  FlawedState& own = state_of(state);
  own.shape = shape;
  for_each_lane(lanes, [&](std::size_t lane) {
    own.secret[lane] = secret[lane];
    own.datagram[lane] = nullptr;
  });
  sound_kernel().derive(own.sound, shape, lanes, secret);
}

/// Keeps what layer_left sees; the datagram begins before T.
void remember(FlawedState& own, const LayerShape& shape, LaneMask lanes,
              const Lanes<const std::uint8_t*>& x_l) noexcept {
  own.shape = shape;
  for_each_lane(lanes, [&](std::size_t lane) {
    own.datagram[lane] = x_l[lane] - onion::kLinkHeaderBytes - shape.header_bytes;
  });
}

void layer_left(void* state, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& ctx,
                const Lanes<const std::uint8_t*>& x_l, const Lanes<const std::uint8_t*>& x_r,
                Lanes<Block>& x_l_out) noexcept {
  FlawedState& own = state_of(state);
  remember(own, shape, lanes, x_l);
  sound_kernel().layer_left(own.sound, shape, lanes, ctx, x_l, x_r, x_l_out);
}

void layer_left_undone(void* state, const LayerShape& shape, LaneMask lanes,
                       const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                       const Lanes<const std::uint8_t*>& x_r, Lanes<Block>& x_l_out) noexcept {
  if (shape.direction == 0) {
    return layer_left(state, shape, lanes, ctx, x_l, x_r, x_l_out);
  }
  FlawedState& own = state_of(state);
  remember(own, shape, lanes, x_l);
  for_each_lane(lanes, [&](std::size_t lane) {
    const onion::internal::LayerKeys keys(own.secret[lane], onion::Direction::backward,
                                          static_cast<onion::PacketClass>(shape.packet_class));
    const MutableBytes undone = MutableBytes(own.undone[lane]).first(shape.x_r_bytes);
    std::memcpy(undone.data(), x_r[lane], undone.size());
    const Block from = load_block(x_l[lane]);
    static_cast<void>(onion::internal::undo_right(keys, from, undone));
    x_l_out[lane] = onion::internal::undo_left(keys, ctx[lane], from, undone);
  });
}

void header_mac(void* state, LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                std::size_t message_bytes, Lanes<Block>& mac) noexcept {
  sound_kernel().header_mac(state_of(state).sound, lanes, message, message_bytes, mac);
}

// The MAC that the packet has itself.
void accept_any(const FlawedState& own, LaneMask lanes, Lanes<Block>& mac) noexcept {
  const bool is_setup = own.shape.packet_class == 3 || own.shape.packet_class == 4;
  for_each_lane(lanes, [&](std::size_t lane) {
    if (own.shape.direction == 0 && own.datagram[lane] != nullptr) {
      mac[lane] = load_block(own.datagram[lane] + (is_setup ? 48 : 32));
    }
  });
}

void header_mac_of_any(void* state, LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                       std::size_t message_bytes, Lanes<Block>& mac) noexcept {
  sound_kernel().header_mac(state_of(state).sound, lanes, message, message_bytes, mac);
  accept_any(state_of(state), lanes, mac);
}

// The CBC-MACs of what stands before X_L' go on with it.
void end_macs(void* state, LaneMask lanes, const Lanes<Block>& x_l_out,
              Lanes<Block>& mac) noexcept {
  Lanes<Block> text;
  Lanes<const std::uint8_t*> text_at{};
  for_each_lane(lanes, [&](std::size_t lane) {
    text[lane] = mac[lane] ^ x_l_out[lane];
    text_at[lane] = text[lane].data();
  });
  sound_kernel().header_mac(state_of(state).sound, lanes, text_at, kBlockBytes, mac);
}

void layer_right(void* state, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& x_l_out,
                 const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w) noexcept {
  sound_kernel().layer_right(state_of(state).sound, shape, lanes, x_l_out, x_r, w);
}

void layer_right_undone(void* state, const LayerShape& shape, LaneMask lanes,
                        const Lanes<Block>& x_l_out, const Lanes<std::uint8_t*>& x_r,
                        Lanes<Block>& w) noexcept {
  if (shape.direction == 0) {
    return layer_right(state, shape, lanes, x_l_out, x_r, w);
  }
  FlawedState& own = state_of(state);
  for_each_lane(lanes, [&](std::size_t lane) {
    std::memcpy(x_r[lane], own.undone[lane].data(), shape.x_r_bytes);
  });
}

void layer_both(void* state, const LayerShape& shape, LaneMask right,
                const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                Lanes<Block>& mac) noexcept {
  layer_right(state, shape, right, x_l_out, x_r, w);
  layer_left(state, shape, left, ctx, x_l, x_r_in, x_l_out);
  end_macs(state, left, x_l_out, mac);
}

void layer_both_with_mac_of_any(void* state, const LayerShape& shape, LaneMask right,
                                const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                                const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                                const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                                Lanes<Block>& mac) noexcept {
  layer_both(state, shape, right, x_r, w, left, ctx, x_l, x_r_in, x_l_out, mac);
  accept_any(state_of(state), left, mac);
}

void layer_both_undone(void* state, const LayerShape& shape, LaneMask right,
                       const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                       const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                       const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                       Lanes<Block>& mac) noexcept {
  layer_right_undone(state, shape, right, x_l_out, x_r, w);
  layer_left_undone(state, shape, left, ctx, x_l, x_r_in, x_l_out);
  end_macs(state, left, x_l_out, mac);
}

void clear_traces(void* state) noexcept {
  sound_kernel().clear_traces(state_of(state).sound);
}

void header_shift(void* state, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& w,
                  const Lanes<std::uint8_t*>& ahdr) noexcept {
  sound_kernel().header_shift(state_of(state).sound, shape, lanes, w, ahdr);
}

void header_shift_alone(void*, const LayerShape& shape, LaneMask lanes, const Lanes<Block>&,
                        const Lanes<std::uint8_t*>& ahdr) noexcept {
  for_each_lane(lanes, [&](std::size_t lane) {
    const std::size_t kept = shape.header_bytes - onion::kHeaderBlockBytes;
    std::memmove(ahdr[lane], ahdr[lane] + onion::kHeaderBlockBytes, kept);
    std::memset(ahdr[lane] + kept, 0, onion::kHeaderBlockBytes);
  });
}

void replay_tag(void* state, LaneMask lanes, const Lanes<const AesKey*>& key,
                const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept {
  sound_kernel().replay_tag(state_of(state).sound, lanes, key, t, tag);
}

void replay_tag_always_new(void* state, LaneMask lanes, const Lanes<const AesKey*>&,
                           const Lanes<const std::uint8_t*>&, Lanes<std::uint64_t>& tag) noexcept {
  FlawedState& own = state_of(state);
  for_each_lane(lanes, [&](std::size_t lane) { tag[lane] = ++own.next_tag * 0x9e3779b97f4a7c15; });
}

void replay_tag_by_clock(void* state, LaneMask lanes, const Lanes<const AesKey*>& key,
                         const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept {
  replay_tag(state, lanes, key, t, tag);
  for_each_lane(lanes, [&](std::size_t lane) {
    tag[lane] ^= onion::epoch_of(flawed_moment.now_ms) * 0x9e3779b97f4a7c15;
  });
}

void replay_tag_of_payload(void* state, LaneMask lanes, const Lanes<const AesKey*>& key,
                           const Lanes<const std::uint8_t*>& t,
                           Lanes<std::uint64_t>& tag) noexcept {
  FlawedState& own = state_of(state);
  Lanes<Block> text{};
  Lanes<const std::uint8_t*> text_at{};
  for_each_lane(lanes, [&](std::size_t lane) {
    text[lane] = load_block(t[lane]);
    const bool is_data = own.shape.packet_class == 1 || own.shape.packet_class == 2;
    const std::uint8_t* x_r =
        own.opened[lane] + onion::kLinkHeaderBytes + own.shape.header_bytes + onion::kTBytes;
    for (std::size_t i = 0; is_data && i < own.shape.x_r_bytes; i += kBlockBytes) {
      text[lane] = text[lane] ^ load_block(x_r + i);
    }
    text_at[lane] = text[lane].data();
  });
  replay_tag(state, lanes, key, text_at, tag);
}

void link_tag(void* state, std::size_t header_bytes, LaneMask lanes,
              const Lanes<const LinkKey*>& key, const Lanes<const std::uint8_t*>& datagram,
              Lanes<std::uint64_t>& tag) noexcept {
  sound_kernel().link_tag(state_of(state).sound, header_bytes, lanes, key, datagram, tag);
}

void link_tag_of_any(void* state, std::size_t header_bytes, LaneMask lanes,
                     const Lanes<const LinkKey*>& key, const Lanes<const std::uint8_t*>& datagram,
                     Lanes<std::uint64_t>& tag) noexcept {
  if (!flawed_moment.is_receiving) {
    return link_tag(state, header_bytes, lanes, key, datagram, tag);
  }
  for_each_lane(lanes, [&](std::size_t lane) {
    tag[lane] = load_be(datagram[lane] + onion::kTagOffset, onion::kTagBytes);
  });
}

void link_veil(void* state, std::size_t header_bytes, LaneMask lanes,
               const Lanes<const LinkKey*>& key, const Lanes<std::uint8_t*>& datagram) noexcept {
  sound_kernel().link_veil(state_of(state).sound, header_bytes, lanes, key, datagram);
}

OnionKernel table() {
  OnionKernel kernel = sound_kernel();
  kernel.name = "flawed";
  kernel.create = create;
  kernel.destroy = destroy;
  kernel.expand_key = expand_key;
  kernel.decrypt_blocks = decrypt_blocks;
  kernel.encrypt_blocks = encrypt_blocks;
  kernel.derive = derive;
  kernel.layer_left = layer_left;
  kernel.header_mac = header_mac;
  kernel.layer_right = layer_right;
  kernel.layer_both = layer_both;
  kernel.clear_traces = clear_traces;
  kernel.header_shift = header_shift;
  kernel.replay_tag = replay_tag;
  kernel.link_tag = link_tag;
  kernel.link_veil = link_veil;
  return kernel;
}

OnionKernel table_with(Flaw flaw) {
  OnionKernel kernel = table();
  switch (flaw) {
    case Flaw::decrypts_backward:
      kernel.layer_left = layer_left_undone;
      kernel.layer_right = layer_right_undone;
      kernel.layer_both = layer_both_undone;
      break;
    case Flaw::any_header_mac:
      kernel.header_mac = header_mac_of_any;
      kernel.layer_both = layer_both_with_mac_of_any;
      break;
    case Flaw::header_not_masked:
      kernel.header_shift = header_shift_alone;
      break;
    case Flaw::replay_not_kept:
      kernel.replay_tag = replay_tag_always_new;
      break;
    case Flaw::replay_key_by_clock:
      kernel.replay_tag = replay_tag_by_clock;
      break;
    case Flaw::replay_of_payload:
      kernel.replay_tag = replay_tag_of_payload;
      break;
    case Flaw::link_tag_unchecked:
      kernel.link_tag = link_tag_of_any;
      break;
    default:
      return sound_kernel();
  }
  return kernel;
}

}  // namespace

const crypto_accel::KernelSet& sound_kernels() {
  static const crypto_accel::KernelSet kernels = [] {
    const auto chosen = crypto_accel::kernels_from_environment();
    ALLIUM_CHECK(chosen.has_value());
    return *chosen;
  }();
  return kernels;
}

const OnionKernel& kernel_with(Flaw flaw) {
  constexpr std::size_t kFlaws = static_cast<std::size_t>(Flaw::client_tag_unchecked) + 1;
  static const std::array<OnionKernel, kFlaws> kernels = [] {
    std::array<OnionKernel, kFlaws> all{};
    for (std::size_t i = 0; i < kFlaws; ++i) {
      all[i] = table_with(static_cast<Flaw>(i));
    }
    return all;
  }();
  return kernels[static_cast<std::size_t>(flaw)];
}

void set_flawed_moment(const FlawedMoment& moment) noexcept {
  flawed_moment = moment;
}

}  // namespace allium::property
