// SPDX-License-Identifier: Apache-2.0
#include "tests/property/onion_world.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/flawed_kernel.hpp"

namespace allium::property {
namespace {

constexpr std::uint16_t kOnionPort = 22100;
constexpr std::size_t kJourneyStepsMax = 16;
constexpr std::uint64_t kEpochsPerHour = onion::kHourSeconds / onion::kEpochSeconds;

/// Zeroed memory with the alignment of a cache line.
class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t byte_count)
      : byte_count_(byte_count),
        memory_(static_cast<std::byte*>(::operator new (byte_count, std::align_val_t{64}))) {
    clear();
  }

  ~AlignedMemory() { ::operator delete (memory_, std::align_val_t{64}); }

  AlignedMemory(const AlignedMemory&) = delete;
  AlignedMemory& operator=(const AlignedMemory&) = delete;

  void clear() noexcept { std::memset(memory_, 0, byte_count_); }

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {memory_, byte_count_}; }

 private:
  std::size_t byte_count_;
  std::byte* memory_;
};

/// Key material for a purpose, the same whenever it is asked for.
SeededRandom key_source(std::uint64_t seed, std::size_t relay, char purpose, std::uint64_t index) {
  SeededRandom mixer(seed);
  SeededRandom with_relay(mixer.next() ^ relay);
  SeededRandom with_purpose(with_relay.next() ^ static_cast<std::uint64_t>(purpose));
  return SeededRandom(with_purpose.next() ^ index);
}

std::uint32_t id_of(std::uint64_t seed, std::size_t relay) {
  return static_cast<std::uint32_t>(key_source(seed, relay, 'I', 0).next());
}

/// Salts and link numbers of one relay: each once.
struct Numbers {
  std::uint64_t next = 1;

  static bool take(void* state, std::uint64_t, std::uint64_t& number) noexcept {
    number = static_cast<Numbers*>(state)->next++;
    return true;
  }
};

/// A source that leaves the bytes as they are where a return stack wants fresh ones. Nonces it draws.
struct LazyRandom {
  SeededRandom* behind;

  static void fill(void* state, std::uint8_t* target, std::size_t byte_count) noexcept {
    if (byte_count <= crypto_accel::kGcmNonceBytes) {
      static_cast<LazyRandom*>(state)->behind->fill({target, byte_count});
    }
  }
};

bool keep_delivery(void* state, const onion::Delivery& delivery) noexcept {
  auto& relay = *static_cast<WorldRelay*>(state);
  ++relay.delivery_count;
  if (relay.keeps_deliveries) {
    relay.delivered.push_back({delivery.service, delivery.type, load_block(delivery.t),
                               Buffer(delivery.data, delivery.data + delivery.data_bytes)});
  }
  return true;
}

}  // namespace

onion::Endpoint client_v4(std::uint8_t n) {
  const std::array<std::uint8_t, 4> address = {198, 51, 100, n};
  return onion::Endpoint::from_v4(address.data(), 40123);
}

onion::Endpoint client_v6(std::uint16_t site, std::uint16_t host, std::uint8_t n) {
  std::array<std::uint8_t, 16> address = {0x20, 0x01, 0x0d, 0xb8};
  store_be(address.data() + 4, site, 2);
  store_be(address.data() + 6, host, 2);
  address[15] = n;
  return onion::Endpoint::from_v6(address.data(), 40123);
}

const Step* Journey::at(std::size_t relay, std::size_t n) const noexcept {
  for (const Step& step : steps) {
    if (step.relay == relay && n-- == 0) {
      return &step;
    }
  }
  return nullptr;
}

/// What outlives the workers.
struct WorldRelay::Memory {
  Memory(const WorldOptions& options, std::size_t index, std::size_t set_count)
      : handles(onion::HandleTable::bytes_needed(onion::HandleLimits{})),
        random(key_source(options.seed, index, 'W', 0)) {
    for (std::size_t i = 0; i < set_count; ++i) {
      replay.push_back(
          std::make_unique<AlignedMemory>(onion::ReplaySet::bytes_needed(options.replay_lines)));
    }
  }

  std::vector<std::unique_ptr<AlignedMemory>> replay;
  AlignedMemory handles;
  Numbers sequence;
  Numbers salts;
  SeededRandom random;
  LazyRandom lazy{&random};
};

struct WorldRelay::Worker {
  onion::ReplaySet replay;
  onion::HandleTable handles;
  std::unique_ptr<onion::Bridge> bridge;
  std::unique_ptr<onion::Relay> relay;
};

WorldRelay::WorldRelay(const WorldOptions& options, std::size_t index)
    : options_(options),
      flaw_(index == kRelayUnderTest ? options.flaw : Flaw::none),
      index_(index),
      id_(id_of(options.seed, index)) {
  const std::array<std::uint8_t, 4> address = {192, 0, 2, static_cast<std::uint8_t>(index + 1)};
  endpoint_ = onion::Endpoint::from_v4(address.data(), kOnionPort);
  const std::size_t set_count = flaw_ == Flaw::replay_per_worker ? options.worker_count : 1;
  memory_ = std::make_unique<Memory>(options, index, set_count);
  start();
}

WorldRelay::~WorldRelay() = default;

std::size_t WorldRelay::set_of(std::size_t worker) const noexcept {
  return worker % memory_->replay.size();
}

void WorldRelay::start() {
  workers_.clear();
  for (std::size_t i = 0; i < options_.worker_count; ++i) {
    auto replay =
        onion::ReplaySet::attach(memory_->replay[set_of(i)]->bytes(), options_.replay_lines, 0);
    auto handles = onion::HandleTable::attach(memory_->handles.bytes(), onion::HandleLimits{}, 1);
    ALLIUM_CHECK(replay.has_value() && handles.has_value());
    workers_.push_back(std::unique_ptr<Worker>(
        new Worker{*replay, std::move(*handles), std::make_unique<onion::Bridge>(), nullptr}));
    Worker& worker = *workers_.back();
    onion::RelayParts parts;
    parts.kernels = {&kernel_with(flaw_), sound_kernels().x25519, sound_kernels().aead};
    parts.replay = &worker.replay;
    parts.handles = &worker.handles;
    parts.bridge = workers_.front()->bridge.get();
    parts.sequence = {&memory_->sequence, Numbers::take};
    parts.salt = {&memory_->salts, Numbers::take};
    parts.random = flaw_ == Flaw::stack_bytes_forwarded ? Random{&memory_->lazy, LazyRandom::fill}
                                                        : memory_->random.source();
    parts.sink = {this, keep_delivery};
    worker.relay = std::make_unique<onion::Relay>(parts);
  }
}

void WorldRelay::crash() {
  if (flaw_ == Flaw::replay_lost_in_crash) {
    forget();
  }
  start();
}

void WorldRelay::forget() {
  for (const auto& memory : memory_->replay) {
    memory->clear();
  }
  last_slot_ = 0;
  start();
}

void WorldRelay::check_clock(std::uint64_t now_ms) {
  const std::uint64_t slot = onion::slot_of(now_ms);
  if (flaw_ == Flaw::floor_falls && slot < last_slot_) {
    forget();
  }
  last_slot_ = slot;
}

void WorldRelay::follow(std::uint64_t now_ms) {
  const std::uint64_t epoch = onion::epoch_of(now_ms);
  if (snapshot_ && epoch == snapshot_epoch_) {
    return;
  }
  onion::SnapshotConfig config;
  config.own_id = id_;
  config.own_endpoint = endpoint_;
  config.cookie_required = options_.cookie_required && flaw_ != Flaw::cookie_not_required;
  for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
    config.epochs.push_back(world_->epoch_secrets(index_, near));
  }
  for (std::uint64_t hour = onion::hour_of(now_ms) - 1; hour <= onion::hour_of(now_ms) + 1;
       ++hour) {
    config.hours.push_back(world_->hour_key(index_, hour));
  }
  for (const auto& other : world_->relays_) {
    if (other->index_ == index_) {
      continue;
    }
    onion::PeerConfig& peer = config.peers.emplace_back();
    peer.id = other->id_;
    peer.endpoint = other->endpoint_;
    for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
      const onion::LinkSecrets& known = world_->link(index_, other->index_, near);
      onion::LinkSecrets& copy = peer.links.emplace_back();
      copy.epoch = near;
      copy.in_mac.copy_from(known.in_mac);
      copy.in_veil.copy_from(known.in_veil);
      copy.out_mac.copy_from(known.out_mac);
      copy.out_veil.copy_from(known.out_veil);
    }
  }
  crypto_accel::OnionBatch batch(kernel_with(flaw_));
  auto built = onion::RelaySnapshot::build(config, batch);
  ALLIUM_CHECK(built.has_value());
  snapshot_ = std::move(*built);
  snapshot_epoch_ = epoch;
}

// Flaws of what stands between the layers and the link.
void WorldRelay::bend(const onion::Burst& before, onion::Burst& burst, std::uint64_t now_ms) const {
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    if (burst.outgoing[lane] != onion::Outgoing::forward) {
      continue;
    }
    const bool is_backward =
        onion::type_info(burst.type[lane]).direction == onion::Direction::backward;
    if (flaw_ == Flaw::slot_copied_backward && is_backward) {
      burst.slot[lane] = before.slot[lane];
    }
    if (flaw_ == Flaw::slot_rewritten_forward && !is_backward) {
      burst.slot[lane] = onion::slot_of(now_ms);
    }
    if (flaw_ == Flaw::no_client_tag) {
      burst.client_tag[lane] = {};
    }
  }
}

void WorldRelay::run_burst(std::size_t worker, onion::Burst& burst, std::uint64_t world_ms) {
  const std::uint64_t now_ms = clock_ms(world_ms);
  check_clock(now_ms);
  follow(now_ms);
  Worker& own = *workers_[worker];
  own.replay.raise_floor(onion::slot_of(now_ms) - 1);
  own.replay.clear_all_due();
  set_flawed_moment({now_ms, true});
  own.relay->admit(*snapshot_, burst, now_ms);
  set_flawed_moment({now_ms, false});
  if (flaw_ == Flaw::none) {
    own.relay->process(*snapshot_, burst, now_ms);
  } else {
    const onion::Burst before = burst;
    own.relay->process(*snapshot_, burst, now_ms);
    bend(before, burst, now_ms);
  }
  own.relay->transmit(*snapshot_, burst, now_ms);
}

Outcome WorldRelay::run(std::size_t worker, const onion::Endpoint& source, const Buffer& datagram,
                        std::uint64_t world_ms) {
  std::array<std::uint8_t, onion::kDatagramBytesMax> room{};
  ALLIUM_CHECK(datagram.size() <= room.size());
  std::copy(datagram.begin(), datagram.end(), room.begin());
  onion::Burst burst;
  burst.count = 1;
  burst.data[0] = room.data();
  burst.bytes[0] = static_cast<std::uint16_t>(datagram.size());
  burst.source[0] = source;
  run_burst(worker, burst, world_ms);
  Outcome outcome;
  outcome.verdict = burst.verdict[0];
  outcome.outgoing = burst.outgoing[0];
  if (outcome.outgoing != onion::Outgoing::none) {
    outcome.target = burst.target[0];
    outcome.slot = burst.slot[0];
    outcome.datagram.assign(room.begin(), room.begin() + burst.bytes[0]);
  }
  return outcome;
}

World::World(const WorldOptions& options)
    : now_ms(options.now_ms), random(options.seed), options_(options) {
  for (std::size_t index = 0; index < options.relay_count; ++index) {
    relays_.push_back(std::make_unique<WorldRelay>(options, index));
    relays_.back()->world_ = this;
  }
  for (const auto& relay : relays_) {
    relay->follow(now_ms);
  }
}

onion::EpochSecrets World::epoch_secrets(std::size_t relay, std::uint64_t epoch) const {
  onion::EpochSecrets secrets;
  secrets.epoch = epoch;
  const auto draw = [&](Secret<16>& key, char purpose) {
    key_source(options_.seed, relay, purpose, epoch).fill(key.bytes());
  };
  draw(secrets.segment, 'A');
  draw(secrets.secret, 'B');
  draw(secrets.return_block, 'E');
  draw(secrets.replay, 'R');
  draw(secrets.cookie, 'C');
  return secrets;
}

onion::HourKey World::hour_key(std::size_t relay, std::uint64_t hour) const {
  onion::HourKey key;
  key.hour = hour;
  key_source(options_.seed, relay, 'X', hour).fill(key.private_key.bytes());
  key.public_key = crypto_accel::x25519_public(key.private_key);
  return key;
}

const onion::LinkSecrets& World::link(std::size_t owner, std::size_t peer,
                                      std::uint64_t epoch) const {
  auto& known = links_[{owner, peer, epoch}];
  if (!known) {
    const onion::HourKey own = hour_key(owner, epoch / kEpochsPerHour);
    const onion::HourKey theirs = hour_key(peer, epoch / kEpochsPerHour);
    auto secrets =
        onion::derive_link_secrets(own.private_key, {relays_[owner]->id(), own.public_key},
                                   {relays_[peer]->id(), theirs.public_key}, epoch);
    ALLIUM_CHECK(secrets.has_value());
    known = std::make_unique<onion::LinkSecrets>(std::move(*secrets));
  }
  return *known;
}

std::size_t World::index_of(const onion::Endpoint& endpoint) const {
  for (const auto& relay : relays_) {
    if (relay->endpoint() == endpoint) {
      return relay->index();
    }
  }
  return kClient;
}

Journey World::carry_on(std::size_t from, const Outcome& sent, const Watch& watch) {
  if (sent.outgoing == onion::Outgoing::none) {
    return {};
  }
  Buffer datagram = sent.datagram;
  const std::size_t to = sent.target.to_relay ? index_of(sent.target.endpoint) : kClient;
  if (to != kClient) {
    return travel(from, to, std::move(datagram), watch);
  }
  if (watch) {
    watch(from, kClient, datagram);
  }
  Journey journey;
  journey.at_client = std::move(datagram);
  return journey;
}

Journey World::travel(std::size_t from, std::size_t to, Buffer datagram, const Watch& watch) {
  Journey journey;
  while (journey.steps.size() < kJourneyStepsMax) {
    if (watch) {
      watch(from, to, datagram);
    }
    if (to == kClient) {
      journey.at_client = std::move(datagram);
      return journey;
    }
    const onion::Endpoint source = from == kClient ? client : relays_[from]->endpoint();
    Outcome out = relays_[to]->run(0, source, datagram, now_ms);
    journey.steps.push_back({from, to, std::move(datagram), out});
    if (out.outgoing == onion::Outgoing::none) {
      return journey;
    }
    from = to;
    to = out.target.to_relay ? index_of(out.target.endpoint) : kClient;
    datagram = std::move(out.datagram);
  }
  return journey;
}

namespace {

struct LinkKeys {
  Block mac;
  Block veil;
};

// The epoch near `now` whose low byte the datagram names.
std::uint64_t epoch_named(const Buffer& datagram, std::uint64_t now_ms) {
  const std::uint64_t now = onion::epoch_of(now_ms);
  for (const std::uint64_t near : {now, now - 1, now + 1}) {
    if (static_cast<std::uint8_t>(near) == datagram[onion::kKeyIdOffset]) {
      return near;
    }
  }
  return now;
}

void toggle_veil(const Block& key, Buffer& datagram) {
  Block iv = load_block(datagram.data());
  std::fill(iv.begin() + 8, iv.end(), std::uint8_t{0});
  crypto_accel::ctr_xor(
      key, iv,
      MutableBytes(datagram).subspan(onion::kLinkHeaderBytes, info_of(datagram).header_bytes));
}

}  // namespace

void World::lift(std::size_t from, std::size_t to, Buffer& datagram) const {
  if (from == kClient || to == kClient) {
    return;
  }
  toggle_veil(link(to, from, epoch_named(datagram, now_ms)).in_veil.bytes(), datagram);
}

void World::seal(std::size_t from, std::size_t to, Buffer& datagram) const {
  if (from == kClient || to == kClient || !onion::is_packet_type(datagram[0] & 0x0f)) {
    return;
  }
  const onion::LinkSecrets& keys = link(to, from, epoch_named(datagram, now_ms));
  toggle_veil(keys.in_veil.bytes(), datagram);
  const onion::TypeInfo& info = info_of(datagram);
  std::array<std::uint8_t, onion::kDatagramBytesMax> text{};
  std::copy_n(datagram.begin(), onion::kTagOffset, text.begin());
  std::copy(datagram.begin() + onion::kLinkHeaderBytes, datagram.begin() + info.x_r_offset,
            text.begin() + onion::kLinkHeaderBytes);
  const Block mac = crypto_accel::cmac(keys.in_mac.bytes(), Bytes(text).first(info.x_r_offset));
  std::copy_n(mac.begin(), onion::kTagBytes, datagram.begin() + onion::kTagOffset);
}

Block World::seal_segment(std::size_t relay, std::uint64_t epoch, const Block& plain) const {
  return crypto_accel::aes_encrypt(epoch_secrets(relay, epoch).segment.bytes(), plain);
}

Block World::segment_secret(std::size_t relay, std::uint64_t epoch, const Block& plain) const {
  Block input{};
  input[0] = 1;
  std::copy_n(plain.begin() + 9, 7, input.begin() + 1);  // salt
  std::copy_n(plain.begin() + 1, 2, input.begin() + 8);  // exp
  return crypto_accel::aes_encrypt(epoch_secrets(relay, epoch).secret.bytes(), input);
}

Block World::plain_segment(std::uint8_t type, std::uint64_t epoch, Bytes next) {
  Block plain{};
  plain[0] = type;
  store_be(plain.data() + 1, onion::expiry_of_epoch(epoch), 2);
  std::copy(next.begin(), next.end(), plain.begin() + 3);
  store_be(plain.data() + 9, next_salt_++, 7);
  return plain;
}

Bytes World::next_of(const ClientPath& path, std::size_t hop, bool backward,
                     std::array<std::uint8_t, 6>& next) const {
  if (!backward) {
    store_be(next.data(), relays_[path.relays[hop + 1]]->id(), 4);
  } else if (hop > 0) {
    store_be(next.data(), relays_[path.relays[hop - 1]]->id(), 4);
  } else {
    std::copy_n(path.client.v4(), 4, next.data());
    store_be(next.data() + 4, path.client.port, 2);
  }
  return next;
}

ClientPath World::make_path(const std::vector<std::size_t>& relays, onion::Service service) {
  ClientPath path;
  path.relays = relays;
  path.client = client;
  path.session.hop_count = relays.size();
  const std::uint64_t epoch = onion::epoch_of(now_ms);
  for (std::size_t hop = 0; hop < relays.size(); ++hop) {
    std::array<std::uint8_t, 6> next{};
    Block forward{};
    if (hop + 1 == relays.size()) {
      store_be(next.data(), static_cast<std::uint64_t>(service), 2);
      forward = plain_segment(4, epoch, next);
    } else {
      forward = plain_segment(1, epoch, next_of(path, hop, false, next));
    }
    Block backward = forward;
    next = {};
    backward[0] = hop == 0 ? 0x82 : 0x81;
    const Bytes back = next_of(path, hop, true, next);
    std::copy(back.begin(), back.end(), backward.begin() + 3);
    onion::HopSession& session = path.session.hop[hop];
    session.segment_forward = seal_segment(relays[hop], epoch, forward);
    session.segment_backward = seal_segment(relays[hop], epoch, backward);
    session.secret.bytes() = segment_secret(relays[hop], epoch, forward);
  }
  for (const onion::PacketClass packet_class : {onion::PacketClass::d, onion::PacketClass::v}) {
    if (relays.size() <= onion::header_blocks(packet_class)) {
      auto block = onion::build_reply_block(packet_class, path.session.hops(), spare_source());
      ALLIUM_CHECK(block.has_value());
      path.reply[packet_class == onion::PacketClass::v ? 1 : 0] = *block;
    }
  }
  return path;
}

namespace {

void fill_same(void*, std::uint8_t* target, std::size_t byte_count) noexcept {
  SeededRandom(99).fill({target, byte_count});
}

// The same bytes for spare blocks of 64 bytes, random ones for all else that a setup packet needs.
void fill_but_spare(void* state, std::uint8_t* target, std::size_t byte_count) noexcept {
  const bool is_spare = byte_count == 64 || byte_count == 128 || byte_count == 192;
  if (is_spare) {
    fill_same(nullptr, target, byte_count);
  } else {
    static_cast<SeededRandom*>(state)->fill({target, byte_count});
  }
}

}  // namespace

Random World::spare_source() noexcept {
  return options_.flaw == Flaw::constant_spare ? Random{nullptr, fill_same} : random.source();
}

Buffer World::data_packet(const ClientPath& path, onion::PacketClass packet_class,
                          std::uint64_t seq, Bytes data) {
  const auto built = onion::build_data(packet_class, onion::slot_of(now_ms), path.session.hops(),
                                       onion::flow_and_seq(1, seq), data, spare_source());
  ALLIUM_CHECK(built.has_value());
  const Bytes view = built->view();
  return {view.begin(), view.end()};
}

Buffer World::echo_packet(const ClientPath& path, onion::PacketClass packet_class,
                          std::uint64_t seq) {
  const Bytes reply = path.reply_of(packet_class).view();
  return data_packet(path, packet_class, seq, reply);
}

onion::SetupPacket World::setup_packet(const std::vector<std::size_t>& relays,
                                       onion::PacketType type, onion::Service service) {
  std::vector<onion::SetupHop> hops(relays.size());
  onion::SetupRequest request;
  request.type = type;
  request.slot = onion::slot_of(now_ms);
  request.hour = onion::hour_of(now_ms);
  for (std::size_t hop = 0; hop < relays.size(); ++hop) {
    hops[hop].onion_key = hour_key(relays[hop], request.hour).public_key;
    hops[hop].next = hop + 1 == relays.size()
                         ? onion::NextHop::to_service(service)
                         : onion::NextHop::to_relay(relays_[relays[hop + 1]]->id());
  }
  request.hops = hops;
  request.t = random.block();
  const Random source =
      options_.flaw == Flaw::constant_spare ? Random{&random, fill_but_spare} : random.source();
  auto built = onion::build_setup(request, source);
  ALLIUM_CHECK(built.has_value());
  return std::move(*built);
}

std::vector<const Secret<16>*> World::secrets_of(const ClientPath& path) {
  std::vector<const Secret<16>*> secrets;
  for (const onion::HopSession& hop : path.session.hops()) {
    secrets.push_back(&hop.secret);
  }
  return secrets;
}

std::vector<const Secret<16>*> World::secrets_of(const onion::SetupPacket& setup) {
  std::vector<const Secret<16>*> secrets;
  for (const onion::SetupHopKeys& hop : setup.hops()) {
    secrets.push_back(&hop.k_ret);
  }
  return secrets;
}

}  // namespace allium::property
