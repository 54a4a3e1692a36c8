// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/relay_under_test.hpp"

#include <algorithm>
#include <cstring>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::fuzz {
namespace {

using crypto_accel::aes_encrypt;
using onion::PacketType;
using onion::TypeInfo;

constexpr std::size_t kReplayLines = 1024;
constexpr onion::HandleLimits kHandleLimits{16, 0, 0};

Block key(std::uint8_t label) {
  Block block;
  block.fill(label);
  return block;
}

template <std::size_t N>
void set(Secret<N>& secret, std::uint8_t label) {
  secret.bytes().fill(label);
}

Block layer_key(const Block& secret, std::uint8_t j, std::uint8_t direction,
                std::uint8_t class_byte) {
  Block label{};
  label[0] = j;
  label[1] = direction;
  label[2] = class_byte;
  return aes_encrypt(secret, label);
}

// X_L' of the layer that the relay will put on (section 7).
Block left_half(const Block& secret, const TypeInfo& info, const Block& ctx,
                const DatagramBytes& datagram) {
  const auto direction = static_cast<std::uint8_t>(info.direction);
  const auto class_byte = static_cast<std::uint8_t>(info.packet_class);
  const Block m = crypto_accel::ghash(layer_key(secret, 4, direction, class_byte), ctx,
                                      {datagram.data() + info.x_r_offset, info.x_r_bytes});
  const Block v = load_block(datagram.data() + info.t_offset) ^ m;
  return aes_encrypt(layer_key(secret, 1, direction, class_byte), v) ^ m;
}

onion::Endpoint endpoint(std::uint8_t host) {
  const std::array<std::uint8_t, 4> address = {192, 0, 2, host};
  return onion::Endpoint::from_v4(address.data(), 22100);
}

onion::PeerConfig peer(std::uint32_t id, std::uint8_t host) {
  onion::PeerConfig config;
  config.id = id;
  config.endpoint = endpoint(host);
  onion::LinkSecrets& link = config.links.emplace_back();
  link.epoch = onion::epoch_of(kNowMs);
  set(link.in_mac, static_cast<std::uint8_t>(host + 0x10));
  set(link.in_veil, static_cast<std::uint8_t>(host + 0x20));
  set(link.out_mac, static_cast<std::uint8_t>(host + 0x30));
  set(link.out_veil, static_cast<std::uint8_t>(host + 0x40));
  return config;
}

constexpr std::uint8_t kPeerHost = 1;

bool take(void* state, std::uint64_t, std::uint64_t& value) noexcept {
  value = (*static_cast<std::uint64_t*>(state))++;
  return true;
}

bool deliver(void*, const onion::Delivery& delivery) noexcept {
  ALLIUM_CHECK(delivery.data_bytes <= 1072);
  return true;
}

}  // namespace

void CountingRandom::fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
  CountingRandom& random = *static_cast<CountingRandom*>(self);
  std::memset(target, 0, byte_count);
  Block iv{};
  store_be(iv.data(), random.counter_++, 8);
  crypto_accel::ctr_xor(key(0x77), iv, {target, byte_count});
}

struct RelayUnderTest::Parts {
  crypto_accel::KernelSet kernels = *crypto_accel::select_kernels("");
  crypto_accel::OnionBatch batch{*kernels.onion};
  CountingRandom random;
  std::uint64_t next_seq = 0;
  std::uint64_t next_salt = 1;
  std::uint64_t link_seq = 0;
  crypto_accel::PrivateKey onion_key;
  crypto_accel::PublicKey onion_public{};
  std::unique_ptr<const onion::RelaySnapshot> snapshot;
  std::vector<std::byte> replay_memory;
  std::vector<std::byte> handle_memory;
  std::unique_ptr<onion::ReplaySet> replay;
  std::unique_ptr<onion::HandleTable> handles;
  std::unique_ptr<onion::Bridge> bridge;
  std::unique_ptr<onion::Relay> relay;

  [[nodiscard]] static std::span<std::byte> aligned(std::vector<std::byte>& memory,
                                                    std::size_t byte_count) {
    memory.assign(byte_count + 64, std::byte{});
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return {memory.data() + (64 - address % 64) % 64, byte_count};
  }
};

RelayUnderTest::RelayUnderTest(const crypto_accel::OnionKernel* kernel)
    : parts_(std::make_unique<Parts>()) {
  if (kernel != nullptr) {
    parts_->kernels.onion = kernel;
  }
  onion::SnapshotConfig config;
  config.own_id = kOwnId;
  config.own_endpoint = endpoint(2);
  const std::uint64_t epoch = onion::epoch_of(kNowMs);
  for (const std::uint64_t e : {epoch - 1, epoch, epoch + 1}) {
    onion::EpochSecrets& keys = config.epochs.emplace_back();
    const auto label = static_cast<std::uint8_t>(0x80 + 5 * (e - epoch + 1));
    keys.epoch = e;
    set(keys.segment, label);
    set(keys.secret, static_cast<std::uint8_t>(label + 1));
    set(keys.return_block, static_cast<std::uint8_t>(label + 2));
    set(keys.replay, static_cast<std::uint8_t>(label + 3));
    set(keys.cookie, static_cast<std::uint8_t>(label + 4));
  }
  onion::HourKey& hour = config.hours.emplace_back();
  hour.hour = onion::hour_of(kNowMs);
  set(hour.private_key, 0x42);
  hour.public_key = crypto_accel::x25519_public(hour.private_key);
  parts_->onion_key.copy_from(hour.private_key);
  parts_->onion_public = hour.public_key;
  config.peers.push_back(peer(kPeerId, kPeerHost));
  config.peers.push_back(peer(kOtherId, 3));
  auto snapshot = onion::RelaySnapshot::build(config, parts_->batch);
  ALLIUM_CHECK(snapshot.has_value());
  parts_->snapshot = std::move(*snapshot);
  reset();
}

RelayUnderTest::~RelayUnderTest() = default;

void RelayUnderTest::reset() {
  Parts& parts = *parts_;
  parts.relay.reset();
  parts.random.restart();
  auto replay = onion::ReplaySet::attach(
      Parts::aligned(parts.replay_memory, onion::ReplaySet::bytes_needed(kReplayLines)),
      kReplayLines, 0);
  auto handles = onion::HandleTable::attach(
      Parts::aligned(parts.handle_memory, onion::HandleTable::bytes_needed(kHandleLimits)),
      kHandleLimits, 1);
  ALLIUM_CHECK(replay.has_value() && handles.has_value());
  parts.replay = std::make_unique<onion::ReplaySet>(std::move(*replay));
  parts.replay->raise_floor(onion::slot_of(kNowMs) - 1);
  parts.replay->clear_all_due();
  parts.handles = std::make_unique<onion::HandleTable>(std::move(*handles));
  parts.bridge = std::make_unique<onion::Bridge>();
  onion::RelayParts relay{};
  relay.kernels = parts.kernels;
  relay.replay = parts.replay.get();
  relay.handles = parts.handles.get();
  relay.bridge = parts.bridge.get();
  relay.sequence = {&parts.next_seq, take};
  relay.salt = {&parts.next_salt, take};
  relay.random = parts.random.source();
  relay.sink = {nullptr, deliver};
  parts.relay = std::make_unique<onion::Relay>(relay);
  received_ = 0;
  verdicts_ = {};
}

RelayUnderTest::Outcome RelayUnderTest::run(DatagramBytes& datagram, std::size_t byte_count,
                                            const onion::Endpoint& source, std::uint64_t now_ms) {
  onion::Burst burst;
  burst.count = 1;
  burst.data[0] = datagram.data();
  burst.bytes[0] = static_cast<std::uint16_t>(byte_count);
  burst.source[0] = source;
  parts_->relay->run(*parts_->snapshot, burst, now_ms);
  const onion::Verdict verdict = burst.verdict[0];
  ALLIUM_CHECK(verdict != onion::Verdict::pending && verdict != onion::Verdict::parked);
  if (burst.outgoing[0] != onion::Outgoing::none) {
    const std::uint16_t bytes = burst.bytes[0];
    ALLIUM_CHECK(bytes == 32 || bytes == 256 || bytes == 1232);
    ALLIUM_CHECK((bytes == 32) == (burst.outgoing[0] == onion::Outgoing::challenge));
    ALLIUM_CHECK(burst.target[0].endpoint.port != 0 || !burst.target[0].to_relay);
    ALLIUM_CHECK(!burst.target[0].to_relay || burst.target[0].relay_id == kPeerId ||
                 burst.target[0].relay_id == kOtherId);
  }
  ALLIUM_CHECK((verdict == onion::Verdict::forward) ==
               (burst.outgoing[0] == onion::Outgoing::forward));
  ++received_;
  ++verdicts_[static_cast<std::size_t>(verdict)];
  return {verdict, burst.outgoing[0], burst.bytes[0]};
}

std::vector<RelayUnderTest::Outcome> RelayUnderTest::run_burst(std::span<Input> inputs,
                                                               std::uint64_t now_ms) {
  ALLIUM_CHECK(inputs.size() <= onion::kBurstMax);
  onion::Burst burst;
  burst.count = inputs.size();
  for (std::size_t lane = 0; lane < inputs.size(); ++lane) {
    burst.data[lane] = inputs[lane].datagram.data();
    burst.bytes[lane] = static_cast<std::uint16_t>(inputs[lane].byte_count);
    burst.source[lane] = inputs[lane].source;
  }
  parts_->relay->run(*parts_->snapshot, burst, now_ms);
  std::vector<Outcome> outcomes;
  for (std::size_t lane = 0; lane < inputs.size(); ++lane) {
    outcomes.push_back({burst.verdict[lane], burst.outgoing[lane], burst.bytes[lane]});
    ++received_;
    ++verdicts_[static_cast<std::size_t>(burst.verdict[lane])];
  }
  return outcomes;
}

onion::Endpoint RelayUnderTest::peer_endpoint() {
  return endpoint(kPeerHost);
}

onion::Endpoint RelayUnderTest::client_endpoint(bool is_v6) {
  if (!is_v6) {
    onion::Endpoint client = endpoint(200);
    client.port = 40123;
    return client;
  }
  const std::array<std::uint8_t, 16> address = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0,
                                                0,    0, 0,   0,    0, 0, 0, 9};
  return onion::Endpoint::from_v6(address.data(), 4444);
}

void RelayUnderTest::seal_link(DatagramBytes& datagram, PacketType type) {
  const TypeInfo& info = onion::type_info(type);
  std::uint8_t* bytes = datagram.data();
  bytes[0] = static_cast<std::uint8_t>(onion::kVersion << 4 | static_cast<unsigned>(type));
  bytes[onion::kKeyIdOffset] = static_cast<std::uint8_t>(onion::epoch_of(kNowMs));
  bytes[onion::kSlotOffset] = static_cast<std::uint8_t>(onion::slot_of(kNowMs));
  store_be(bytes + onion::kSeqOffset, parts_->link_seq++, onion::kSeqBytes);
  Block iv{};
  std::copy_n(bytes, 8, iv.data());
  std::uint8_t* header = bytes + onion::kLinkHeaderBytes;
  crypto_accel::ctr_xor(key(kPeerHost + 0x20), iv, {header, info.header_bytes});
  std::array<std::uint8_t, 16 + 656 + 16> message{};
  std::copy_n(bytes, 8, message.data());
  std::copy_n(header, info.header_bytes + onion::kTBytes, message.data() + 16);
  const Block tag = crypto_accel::cmac(
      key(kPeerHost + 0x10), Bytes(message).first(16U + info.header_bytes + onion::kTBytes));
  std::copy_n(tag.data(), onion::kTagBytes, bytes + onion::kTagOffset);
}

void RelayUnderTest::seal_client(DatagramBytes& datagram, PacketType type,
                                 const onion::Endpoint& source) {
  std::uint8_t* bytes = datagram.data();
  bytes[0] = static_cast<std::uint8_t>(onion::kVersion << 4 | static_cast<unsigned>(type));
  bytes[onion::kSlotOffset] = static_cast<std::uint8_t>(onion::slot_of(kNowMs));
  std::array<std::uint8_t, 32> message{};
  std::copy(source.address.begin(), source.address.end(), message.data());
  store_be(message.data() + 16, source.port, 2);
  const Block cookie =
      crypto_accel::cmac(parts_->snapshot->epoch(onion::epoch_of(kNowMs))->cookie, message);
  std::copy_n(cookie.data(), onion::kLastBytes, bytes + onion::kLastOffset);
}

void RelayUnderTest::seal_segment(DatagramBytes& datagram, PacketType type, const Block& plain) {
  const TypeInfo& info = onion::type_info(type);
  const onion::RelaySnapshot::Epoch& keys = *parts_->snapshot->epoch(onion::epoch_of(kNowMs));
  std::uint8_t* header = datagram.data() + onion::kLinkHeaderBytes;
  store_block(header, aes_encrypt(keys.segment_raw, plain));
  Block secret_plain{};  // 01 | salt:56 | exp:16 | 0^6
  secret_plain[0] = 1;
  std::copy_n(plain.data() + 9, 7, secret_plain.data() + 1);
  std::copy_n(plain.data() + 1, 2, secret_plain.data() + 8);
  const Block secret = aes_encrypt(keys.secret_raw, secret_plain);
  const auto class_byte = static_cast<std::uint8_t>(info.packet_class);
  const bool is_forward = info.direction == onion::Direction::forward;
  const std::uint64_t slot = onion::slot_of(kNowMs);
  const Block ctx = onion::layer_context(info.direction, class_byte, slot);
  const Block mac_ctx = onion::layer_context(info.direction, class_byte, is_forward ? slot : 0);
  const Block last = is_forward ? left_half(secret, info, ctx, datagram) : Block{};
  std::array<std::uint8_t, 16 + 128> message{};
  std::uint8_t* end = std::copy(mac_ctx.begin(), mac_ctx.end(), message.data());
  end = std::copy_n(header, 16, end);
  end = std::copy_n(header + 32, info.header_bytes - 32U, end);
  end = std::copy(last.begin(), last.end(), end);
  const Block mac_key = layer_key(secret, 3, static_cast<std::uint8_t>(info.direction), class_byte);
  store_block(header + 16,
              crypto_accel::cbcmac(
                  mac_key, Bytes(message).first(static_cast<std::size_t>(end - message.data()))));
}

void RelayUnderTest::seal_setup(DatagramBytes& datagram, PacketType type, const Block& rt,
                                std::uint8_t eph_secret) {
  const TypeInfo& info = onion::type_info(type);
  crypto_accel::PrivateKey eph;
  eph.bytes().fill(eph_secret);
  crypto_accel::PublicKey eph_public = crypto_accel::x25519_public(eph);
  const std::uint64_t hour = onion::hour_of(kNowMs);
  eph_public[31] = static_cast<std::uint8_t>((eph_public[31] & 0x7f) | (hour & 1) << 7);
  crypto_accel::SharedSecret shared{};
  ALLIUM_CHECK(crypto_accel::x25519(eph, parts_->onion_public, shared));
  std::array<std::uint8_t, 4 + 64> context = {'k', 'e', 'y', 's'};
  std::copy(eph_public.begin(), eph_public.end(), context.data() + 4);
  std::copy(parts_->onion_public.begin(), parts_->onion_public.end(), context.data() + 36);
  const std::array<std::uint8_t, 13> salt = {'a', 'l', 'l', 'i', 'u', 'm', '1',
                                             ' ', 's', 'e', 't', 'u', 'p'};
  std::array<std::uint8_t, 64> okm{};
  crypto_accel::hkdf_sha256(salt, shared, context, okm);
  const Block secret = load_block(okm.data());
  std::uint8_t* header = datagram.data() + onion::kLinkHeaderBytes;
  std::copy(eph_public.begin(), eph_public.end(), header);
  store_block(header + 48, rt);
  crypto_accel::ctr_xor(load_block(okm.data() + 16), Block{}, {header + 48, 16});
  const auto class_byte = static_cast<std::uint8_t>(info.packet_class);
  const Block ctx =
      onion::layer_context(onion::Direction::forward, class_byte, onion::slot_of(kNowMs));
  const Block left = left_half(secret, info, ctx, datagram);
  std::array<std::uint8_t, 16 + 32 + 16 + 192 + 16> message{};
  std::uint8_t* end = std::copy(ctx.begin(), ctx.end(), message.data());
  end = std::copy_n(header, 32, end);
  end = std::copy_n(header + 48, 16 + 192, end);
  std::copy(left.begin(), left.end(), end);
  store_block(header + 32, crypto_accel::cbcmac(layer_key(secret, 3, 0, class_byte), message));
}

void RelayUnderTest::seal_return(DatagramBytes& datagram, const std::array<std::uint8_t, 24>& plain,
                                 unsigned depth) {
  std::uint8_t* block = datagram.data() + onion::kLinkHeaderBytes;
  const std::uint64_t epoch = onion::epoch_of(kNowMs);
  block[0] = static_cast<std::uint8_t>((block[0] & 0xf8U) | (depth & 3U) << 1 | (epoch & 1));
  std::copy(plain.begin(), plain.end(), block + 12);
  std::array<std::uint8_t, 12> tag{};
  const std::size_t live = std::min<std::size_t>(depth, 2) * onion::kReturnBlockBytes;
  crypto_accel::gcm_seal(parts_->snapshot->epoch(epoch)->return_block,
                         std::span<const std::uint8_t, 12>(block, 12), {block + 48, live},
                         {block + 12, plain.size()}, tag);
  std::copy(tag.begin(), tag.end(), block + 36);
}

RelayUnderTest& shared_relay() {
  constexpr unsigned kInputsBetweenResets = 4096;
  static RelayUnderTest relay;
  static unsigned inputs = 0;
  if (++inputs % kInputsBetweenResets == 0) {
    relay.reset();
  }
  return relay;
}

void spread(Bytes input, DatagramBytes& datagram) {
  datagram = {};
  for (std::size_t i = 0; i < datagram.size() && !input.empty(); ++i) {
    datagram[i] = static_cast<std::uint8_t>(input[i % input.size()] + i / input.size());
  }
}

}  // namespace allium::fuzz
