// SPDX-License-Identifier: Apache-2.0

// The onion layer by the calls that ipsec-mb offers: CTR in bursts, CMAC jobs over many lanes at
// once, GHASH and key schedules one lane after the other. Both variants are this code over another
// manager.

#include <array>
#include <bit>
#include <cstring>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/kernels/ipsec_mb_manager.hpp"
#include "crypto_accel/kernels/onion_variants.hpp"
#include "crypto_accel/onion_batch.hpp"

namespace allium::crypto_accel {
namespace {

constexpr std::size_t kShiftBytes = 32;
constexpr std::size_t kVeilIvBytes = 8;  // the part of LL before the tag
constexpr std::size_t kLinkMessageBytesMax = kBlockBytes + kHeaderBytesMax + kBlockBytes;
constexpr std::uint8_t kHeaderMaskCounter = 0x80;
constexpr std::uint8_t kBackwardMaskLabel = 0x5a;

constexpr std::size_t kSpillBytes = 2048;  // below a caller of ours, that our frames reach

constexpr std::size_t kDerivedKeys = 5;

enum DerivedKey : std::size_t { k_et, k_s, k_m, h, h_s };

struct LaneKeys {
  MbSchedule encrypt_tweak;  // K_et
  MbSchedule stream;         // K_s
  MbSchedule mac;            // K_m
  Block hash;                // H
  Block hash_stream;         // H_s
};

// Everything that is secret or made from secrets, so that one wipe takes it all.
struct Memory {
  std::array<LaneKeys, kLanesMax> lanes;
  gcm_key_data hash_key;
  AesKey unused;  // ipsec-mb always makes both schedules
  MbSchedule secret;
  std::array<std::uint8_t, kDerivedKeys * kBlockBytes> derived;
  std::array<std::uint8_t, kLanesMax * kBlockBytes> blocks;
  Lanes<Block> tags;
  Lanes<Block> counters;
  Lanes<std::array<std::uint8_t, kLinkMessageBytesMax>> link_messages;
  Block m;
  Block v;
};

struct State {
  explicit State(MbCode code) noexcept : manager(code), jobs{}, memory{} {}

  ~State() { wipe(&memory, sizeof memory); }

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  MbManager manager;
  std::uint32_t job_count = 0;
  std::array<IMB_JOB, kLanesMax> jobs;  // of one CTR burst
  Memory memory;
};

State& state_of(void* state) noexcept {
  return *static_cast<State*>(state);
}

template <typename Function>
void for_each_lane(LaneMask lanes, Function function) noexcept {
  for (; lanes != 0; lanes &= lanes - 1) {
    function(static_cast<std::size_t>(std::countr_zero(lanes)));
  }
}

// ---- CTR ----

// In ipsec-mb only the last 4 bytes of the counter count. No counter here carries further: seeds
// have byte 15 zero, header masks 0x80, veils eight zero bytes, and no stream is longer than 67
// blocks.
void add_ctr(State& state, const std::uint8_t* schedule, const Block& counter, std::uint8_t* target,
             std::size_t byte_count) noexcept {
  const std::uint32_t index = state.job_count++;
  state.memory.counters[index] = counter;
  IMB_JOB& job = state.jobs[index];
  job.cipher_mode = IMB_CIPHER_CNTR;
  job.cipher_direction = IMB_DIR_ENCRYPT;
  job.hash_alg = IMB_AUTH_NULL;
  job.chain_order = IMB_ORDER_CIPHER_HASH;
  job.enc_keys = schedule;
  job.dec_keys = schedule;
  job.key_len_in_bytes = IMB_KEY_128_BYTES;
  job.iv = state.memory.counters[index].data();
  job.iv_len_in_bytes = kBlockBytes;
  job.src = target;
  job.dst = target;
  job.cipher_start_src_offset_in_bytes = 0;
  job.msg_len_to_cipher_in_bytes = byte_count;
}

void run_ctr(State& state) noexcept {
  if (state.job_count == 0) {
    return;
  }
  const std::uint32_t done =
      IMB_SUBMIT_CIPHER_BURST_NOCHECK(state.manager.get(), state.jobs.data(), state.job_count,
                                      IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
  ALLIUM_CHECK(done == state.job_count);
  state.job_count = 0;
}

// ---- life ----

template <MbCode kCode>
void* create() {
  return new State(kCode);
}

void destroy(void* state) noexcept {
  delete static_cast<State*>(state);
}

// ---- keys and single blocks ----

void expand_key(void* opaque, const Block& key, AesKey& expanded) noexcept {
  State& state = state_of(opaque);
  state.manager.expand(key.data(), expanded.encrypt.data(), expanded.decrypt.data());
  Block subkey_two;
  state.manager.cmac_subkeys(expanded.encrypt.data(), expanded.subkey_one.data(),
                             subkey_two.data());
  wipe(subkey_two.data(), subkey_two.size());
}

// All lanes have one key, so they are one ECB message.
template <IMB_CIPHER_DIRECTION kDirection, typename Source>
void ecb_lanes(State& state, const std::uint8_t* schedule, LaneMask lanes, Source source_of,
               Lanes<Block>& target) noexcept {
  std::uint8_t* blocks = state.memory.blocks.data();
  std::size_t byte_count = 0;
  for_each_lane(lanes, [&](std::size_t i) {
    std::memcpy(blocks + byte_count, source_of(i), kBlockBytes);
    byte_count += kBlockBytes;
  });
  if (byte_count == 0) {
    return;
  }
  state.manager.ecb(kDirection, schedule, blocks, blocks, byte_count);
  const std::uint8_t* result = blocks;
  for_each_lane(lanes, [&](std::size_t i) {
    target[i] = load_block(result);
    result += kBlockBytes;
  });
}

void decrypt_blocks(void* opaque, const AesKey& key, LaneMask lanes,
                    const Lanes<const std::uint8_t*>& source, Lanes<Block>& plain) noexcept {
  ecb_lanes<IMB_DIR_DECRYPT>(
      state_of(opaque), key.decrypt.data(), lanes, [&](std::size_t i) { return source[i]; }, plain);
}

void encrypt_blocks(void* opaque, const AesKey& key, LaneMask lanes, const Lanes<Block>& source,
                    Lanes<Block>& target) noexcept {
  ecb_lanes<IMB_DIR_ENCRYPT>(
      state_of(opaque), key.encrypt.data(), lanes, [&](std::size_t i) { return source[i].data(); },
      target);
}

void derive(void* opaque, const LayerShape& shape, LaneMask lanes,
            const Lanes<Block>& secret) noexcept {
  State& state = state_of(opaque);
  Memory& memory = state.memory;
  std::array<std::uint8_t, kDerivedKeys * kBlockBytes> labels{};
  for (std::size_t j = 0; j < kDerivedKeys; ++j) {
    labels[j * kBlockBytes] = static_cast<std::uint8_t>(j + 1);
    labels[j * kBlockBytes + 1] = shape.direction;
    labels[j * kBlockBytes + 2] = shape.packet_class;
  }
  std::uint8_t* unused = memory.unused.decrypt.data();
  const auto derived = [&](DerivedKey key) { return memory.derived.data() + key * kBlockBytes; };
  for_each_lane(lanes, [&](std::size_t i) {
    LaneKeys& keys = memory.lanes[i];
    state.manager.expand(secret[i].data(), memory.secret.bytes.data(), unused);
    state.manager.ecb(IMB_DIR_ENCRYPT, memory.secret.bytes.data(), labels.data(),
                      memory.derived.data(), memory.derived.size());
    state.manager.expand(derived(k_et), keys.encrypt_tweak.bytes.data(), unused);
    state.manager.expand(derived(k_s), keys.stream.bytes.data(), unused);
    state.manager.expand(derived(k_m), keys.mac.bytes.data(), unused);
    keys.hash = load_block(derived(h));
    keys.hash_stream = load_block(derived(h_s));
  });
}

// ---- the layer ----

// GHASH_H(ctx, x_r). The tables of H are made where they are used: 32 lanes of them would be 32 KB,
// the whole of L1.
void hash_right(State& state, const Block& hash, const Block& ctx, const std::uint8_t* x_r,
                std::size_t x_r_bytes, Block& m) noexcept {
  IMB_MGR* manager = state.manager.get();
  gcm_key_data* key = &state.memory.hash_key;
  Block lengths{};
  store_be(lengths.data(), 8 * kBlockBytes, 8);
  store_be(lengths.data() + 8, 8 * x_r_bytes, 8);
  IMB_GHASH_PRE(manager, hash.data(), key);
  m = Block{};
  IMB_GHASH(manager, key, ctx.data(), kBlockBytes, m.data(), kBlockBytes);
  IMB_GHASH(manager, key, x_r, x_r_bytes, m.data(), kBlockBytes);
  IMB_GHASH(manager, key, lengths.data(), kBlockBytes, m.data(), kBlockBytes);
}

void layer_left(void* opaque, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& ctx,
                const Lanes<const std::uint8_t*>& x_l, const Lanes<const std::uint8_t*>& x_r,
                Lanes<Block>& x_l_out) noexcept {
  State& state = state_of(opaque);
  Memory& memory = state.memory;
  ALLIUM_CHECK(is_whole_blocks(shape.x_r_bytes) && shape.x_r_bytes <= kXRBytesMax);
  for_each_lane(lanes, [&](std::size_t i) {
    const LaneKeys& keys = memory.lanes[i];
    hash_right(state, keys.hash, ctx[i], x_r[i], shape.x_r_bytes, memory.m);
    memory.v = load_block(x_l[i]) ^ memory.m;
    state.manager.encrypt_block(keys.encrypt_tweak.bytes.data(), memory.v.data(), memory.m.data(),
                                x_l_out[i].data());
  });
}

void header_mac(void* opaque, LaneMask lanes, const Lanes<const std::uint8_t*>& message,
                std::size_t message_bytes, Lanes<Block>& mac) noexcept {
  State& state = state_of(opaque);
  ALLIUM_CHECK(is_whole_blocks(message_bytes) && message_bytes > 0);
  for_each_lane(lanes, [&](std::size_t i) {
    state.manager.queue_cmac(state.memory.lanes[i].mac.bytes.data(), kZeroBlock.data(),
                             kZeroBlock.data(), message[i], message_bytes, mac[i].data());
  });
  state.manager.drain();
}

void layer_right(void* opaque, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& x_l_out,
                 const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w) noexcept {
  State& state = state_of(opaque);
  ALLIUM_CHECK(is_whole_blocks(shape.x_r_bytes) && shape.x_r_bytes <= kXRBytesMax);
  for_each_lane(lanes, [&](std::size_t i) {
    const LaneKeys& keys = state.memory.lanes[i];
    IMB_GHASH_PRE(state.manager.get(), keys.hash_stream.data(), &state.memory.hash_key);
    Block product{};
    IMB_GHASH(state.manager.get(), &state.memory.hash_key, x_l_out[i].data(), kBlockBytes,
              product.data(), kBlockBytes);
    w[i] = product;
    product[kBlockBytes - 1] = 0;
    add_ctr(state, keys.stream.bytes.data(), product, x_r[i], shape.x_r_bytes);
  });
  run_ctr(state);
}

void layer_both(void* opaque, const LayerShape& shape, LaneMask right,
                const Lanes<std::uint8_t*>& x_r, Lanes<Block>& w, LaneMask left,
                const Lanes<Block>& ctx, const Lanes<const std::uint8_t*>& x_l,
                const Lanes<const std::uint8_t*>& x_r_in, Lanes<Block>& x_l_out,
                Lanes<Block>& mac) noexcept {
  layer_right(opaque, shape, right, x_l_out, x_r, w);
  layer_left(opaque, shape, left, ctx, x_l, x_r_in, x_l_out);
  Lanes<Block> text;
  Lanes<const std::uint8_t*> text_at;
  for_each_lane(left, [&](std::size_t i) {
    text[i] = mac[i] ^ x_l_out[i];
    text_at[i] = text[i].data();
  });
  header_mac(opaque, left, text_at, kBlockBytes, mac);
}

Block header_mask_counter(const LayerShape& shape, const Block& w) noexcept {
  Block counter{};
  if (shape.direction == 0) {
    counter = w;
  } else {
    counter[0] = kBackwardMaskLabel;
    counter[1] = shape.packet_class;
  }
  counter[kBlockBytes - 1] = kHeaderMaskCounter;
  return counter;
}

void header_shift(void* opaque, const LayerShape& shape, LaneMask lanes, const Lanes<Block>& w,
                  const Lanes<std::uint8_t*>& ahdr) noexcept {
  State& state = state_of(opaque);
  const std::size_t header_bytes = shape.header_bytes;
  ALLIUM_CHECK(is_whole_blocks(header_bytes) && header_bytes >= kShiftBytes &&
               header_bytes <= kHeaderBytesMax);
  for_each_lane(lanes, [&](std::size_t i) {
    std::memmove(ahdr[i], ahdr[i] + kShiftBytes, header_bytes - kShiftBytes);
    std::memset(ahdr[i] + header_bytes - kShiftBytes, 0, kShiftBytes);
    add_ctr(state, state.memory.lanes[i].stream.bytes.data(), header_mask_counter(shape, w[i]),
            ahdr[i], header_bytes);
  });
  run_ctr(state);
}

// ---- replay and link ----

void replay_tag(void* opaque, LaneMask lanes, const Lanes<const AesKey*>& replay_key,
                const Lanes<const std::uint8_t*>& t, Lanes<std::uint64_t>& tag) noexcept {
  State& state = state_of(opaque);
  Memory& memory = state.memory;
  for_each_lane(lanes, [&](std::size_t i) {
    memory.v = load_block(t[i]) ^ memory.lanes[i].hash_stream;
    state.manager.encrypt_block(replay_key[i]->encrypt.data(), memory.v.data(), kZeroBlock.data(),
                                memory.v.data());
    tag[i] = load_be(memory.v.data(), 8);
  });
}

void link_tag(void* opaque, std::size_t header_bytes, LaneMask lanes,
              const Lanes<const LinkKey*>& key, const Lanes<const std::uint8_t*>& datagram,
              Lanes<std::uint64_t>& tag) noexcept {
  State& state = state_of(opaque);
  Memory& memory = state.memory;
  ALLIUM_CHECK(is_whole_blocks(header_bytes) && header_bytes <= kHeaderBytesMax);
  const std::size_t message_bytes = kBlockBytes + header_bytes + kBlockBytes;
  for_each_lane(lanes, [&](std::size_t i) {
    // The tag stands inside the message and counts as zero, so the message has to be a copy.
    std::uint8_t* message = memory.link_messages[i].data();
    std::memcpy(message, datagram[i], message_bytes);
    std::memset(message + kVeilIvBytes, 0, kBlockBytes - kVeilIvBytes);
    const AesKey& mac = key[i]->mac;
    state.manager.queue_cmac(mac.encrypt.data(), mac.subkey_one.data(), kZeroBlock.data(), message,
                             message_bytes, memory.tags[i].data());
  });
  state.manager.drain();
  for_each_lane(lanes, [&](std::size_t i) { tag[i] = load_be(memory.tags[i].data(), 8); });
}

// The library clears its own registers and stack (SAFE_DATA); what is left is of our frames.
void clear_traces(void* /*state*/) noexcept {
  sodium_stackzero(kSpillBytes);
}

void link_veil(void* opaque, std::size_t header_bytes, LaneMask lanes,
               const Lanes<const LinkKey*>& key, const Lanes<std::uint8_t*>& datagram) noexcept {
  State& state = state_of(opaque);
  ALLIUM_CHECK(is_whole_blocks(header_bytes) && header_bytes <= kHeaderBytesMax);
  for_each_lane(lanes, [&](std::size_t i) {
    Block counter{};
    std::memcpy(counter.data(), datagram[i], kVeilIvBytes);
    add_ctr(state, key[i]->veil.encrypt.data(), counter, datagram[i] + kBlockBytes, header_bytes);
  });
  run_ctr(state);
}

constexpr OnionKernel make_kernel(std::string_view name, std::string_view description,
                                  void* (*create_state)()) noexcept {
  return OnionKernel{name,         description,  cpu_can_run_ipsec_mb, create_state,
                     destroy,      expand_key,   decrypt_blocks,       encrypt_blocks,
                     derive,       layer_left,   header_mac,           layer_right,
                     layer_both,   header_shift, replay_tag,           link_tag,
                     clear_traces, link_veil};
}

}  // namespace

std::array<OnionKernel, 2> onion_ipsec_mb_kernels() noexcept {
  return {make_kernel("ipsec-mb-sse", "ipsec-mb with 128-bit vectors only: AES-NI, PCLMUL, SSE4.2",
                      create<MbCode::sse>),
          make_kernel("ipsec-mb", "ipsec-mb with the widest vectors that this CPU has",
                      create<MbCode::best>)};
}

}  // namespace allium::crypto_accel
