// SPDX-License-Identifier: Apache-2.0
#include "ring_world.hpp"

#include <cstdlib>
#include <cstring>
#include <numeric>

#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"
#include "no_allocation.hpp"

namespace allium::dataplane {
namespace {

constexpr std::uint16_t kOnionPort = 22100;
constexpr std::size_t kReplayLines = 4096;
constexpr MacAddress kClientMac = {2, 0, 0, 0, 1, 0};
constexpr std::uint64_t kStartMs = 2'975'000ULL * 600'000 + 300'000;  // the middle of an epoch

const crypto_accel::KernelSet& kernels() {
  static const crypto_accel::KernelSet set = *crypto_accel::select_kernels("");
  return set;
}

/// A key for a purpose, the same whenever it is asked for.
template <std::size_t N>
void make_key(std::array<std::uint8_t, N>& key, std::size_t relay, char purpose,
              std::uint64_t index) {
  std::array<std::uint8_t, 17> label{};
  store_be(label.data(), relay, 8);
  label[8] = static_cast<std::uint8_t>(purpose);
  store_be(label.data() + 9, index, 8);
  ASSERT_EQ(crypto_generichash(key.data(), key.size(), label.data(), label.size(), nullptr, 0), 0);
}

onion::HourKey hour_key(std::size_t relay, std::uint64_t hour) {
  onion::HourKey key;
  key.hour = hour;
  make_key(key.private_key.bytes(), relay, 'X', hour);
  key.public_key = crypto_accel::x25519_public(key.private_key);
  return key;
}

onion::Endpoint address_of(std::size_t number, bool is_ipv6, std::uint16_t port) {
  if (is_ipv6) {
    std::array<std::uint8_t, 16> address = {0x20, 0x01, 0x0d, 0xb8};
    address[15] = static_cast<std::uint8_t>(number);
    return onion::Endpoint::from_v6(address.data(), port);
  }
  const std::array<std::uint8_t, 4> address = {10, 0, 0, static_cast<std::uint8_t>(number)};
  return onion::Endpoint::from_v4(address.data(), port);
}

control_port::Configure configuration(std::uint64_t slot_floor) {
  control_port::Configure configure;
  configure.replay_lines = kReplayLines;
  configure.handles_max = 64;
  configure.handles_per_host = 16;
  configure.handles_per_site = 64;
  configure.slot_floor_if_new = slot_floor;
  return configure;
}

onion::HandleLimits handle_limits() {
  return {64, 16, 64};
}

}  // namespace

rte_mempool* test_pool() {
  static const PacketPool pool = [] {
    EalConfig config;
    config.pages = Pages::small;
    config.memory_mb = 64;
    const auto eal = start_eal(config);
    EXPECT_TRUE(eal) << eal.error().text;
    auto made = make_packet_pool("test_packets", 8191);
    EXPECT_TRUE(made) << made.error().text;
    return std::move(*made);
  }();
  return pool.get();
}

bool is_balanced(const control_port::Counters& counters) {
  const std::uint64_t drops =
      std::accumulate(counters.verdicts.begin(), counters.verdicts.end(), std::uint64_t{0});
  return counters.received == counters.forwarded + counters.delivered + drops + counters.parked &&
         counters.sent == counters.forwarded + counters.answers + counters.challenges;
}

KeptMemory::KeptMemory(std::size_t byte_count) {
  const std::size_t whole = (byte_count + 63) / 64 * 64;
  void* memory = std::aligned_alloc(64, whole);
  std::memset(memory, 0, whole);
  bytes_ = {static_cast<std::byte*>(memory), byte_count};
}

KeptMemory::~KeptMemory() {
  std::free(bytes_.data());
}

KeptMemory::KeptMemory(KeptMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

KeptMemory& KeptMemory::operator=(KeptMemory&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

// ---- one relay ----

RingRelay::RingRelay(std::size_t number, const WorldOptions& options, EngineClock clock)
    : number_(number),
      options_(options),
      clock_(clock),
      endpoint_(address_of(number, options.is_ipv6, kOnionPort)),
      replay_(onion::ReplaySet::bytes_needed(kReplayLines)),
      handles_(onion::HandleTable::bytes_needed(handle_limits())) {
  make_engine();
}

MacAddress RingRelay::mac() const {
  return {2, 0, 0, 0, 0, static_cast<std::uint8_t>(number_)};
}

crypto_accel::PublicKey RingRelay::onion_key(std::uint64_t hour) const {
  return hour_key(number_, hour).public_key;
}

void RingRelay::make_engine() {
  static unsigned serial = 0;
  RingDeviceConfig device;
  device.name = "w" + std::to_string(serial++);
  device.queue_count = static_cast<std::uint16_t>(options_.workers);
  device.frames_max = options_.frames_max;
  auto made = RingDevice::create(device, test_pool());
  ASSERT_TRUE(made) << made.error().text;
  device_ = std::move(*made);

  EngineConfig config;
  config.kernels = kernels();
  config.ports.push_back({device_->dpdk_port(), {mac(), {endpoint_.address}, kOnionPort}});
  config.worker_count = options_.workers;
  config.pool = test_pool();
  config.clock = clock_;
  config.burst_max = options_.burst_max;
  config.parked_max = options_.parked_max;
  config.unresolved_max = options_.unresolved_max;
  config.deliveries_max = options_.deliveries_max;
  auto engine = Engine::create(config);
  ASSERT_TRUE(engine) << engine.error().text;
  engine_ = std::move(*engine);
  const auto configured =
      engine_->configure(configuration(slot_floor_if_new_), {replay_.bytes(), handles_.bytes()});
  ASSERT_TRUE(configured) << configured.error().text;
  ++start_;
}

void RingRelay::restart() {
  engine_.reset();
  device_.reset();
  make_engine();
}

void RingRelay::restart_with_new_memory(std::uint64_t slot_floor) {
  engine_.reset();
  device_.reset();
  replay_ = KeptMemory(onion::ReplaySet::bytes_needed(kReplayLines));
  slot_floor_if_new_ = slot_floor;
  make_engine();
}

onion::PeerConfig RingRelay::peer(const RingRelay& other, std::uint64_t epoch) const {
  onion::PeerConfig config;
  config.id = other.id();
  config.endpoint = other.endpoint_;
  for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
    const onion::HourKey own = hour_key(number_, near / 6);
    const onion::HourKey theirs = hour_key(other.number_, near / 6);
    auto secrets = onion::derive_link_secrets(own.private_key, {id(), own.public_key},
                                              {other.id(), theirs.public_key}, near);
    EXPECT_TRUE(secrets);
    config.links.push_back(std::move(*secrets));
  }
  return config;
}

void RingRelay::publish(const std::vector<std::unique_ptr<RingRelay>>& all, std::uint64_t now_ms) {
  const std::uint64_t epoch = onion::epoch_of(now_ms);
  const std::uint64_t hour = onion::hour_of(now_ms);
  control_port::SnapshotBegin begin;
  begin.serial = ++serial_;
  begin.own_id = id();
  begin.own_endpoint = endpoint_;
  begin.cookie_required = options_.cookie_required;
  begin.setup_limits = {1'000'000, 1'000'000, 1'000'000, 1'000'000};
  begin.salt_alloc_first = static_cast<std::uint16_t>(16 * start_);
  for (const std::uint64_t near : {hour - 1, hour, hour + 1}) {
    begin.hours.push_back(hour_key(number_, near));
  }
  for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
    onion::EpochSecrets secrets;
    secrets.epoch = near;
    make_key(secrets.segment.bytes(), number_, 'A', near);
    make_key(secrets.secret.bytes(), number_, 'B', near);
    make_key(secrets.return_block.bytes(), number_, 'E', near);
    make_key(secrets.replay.bytes(), number_, 'R', near);
    make_key(secrets.cookie.bytes(), number_, 'C', near);
    begin.epochs.push_back(std::move(secrets));
    const std::uint64_t first = start_ << 34;
    begin.sequences.push_back({near, first, first + options_.sequence_count});
  }
  std::vector<onion::PeerConfig> peers;
  for (const auto& other : all) {
    if (other->number_ != number_) {
      peers.push_back(peer(*other, epoch));
    }
  }
  begin.peer_count = static_cast<std::uint32_t>(peers.size());
  const auto published = engine_->publish(begin, std::move(peers));
  ASSERT_TRUE(published) << published.error().text;
}

void RingRelay::publish_neighbours(const std::vector<onion::Endpoint>& known) {
  NextHopTable::Entries entries;
  for (const onion::Endpoint& endpoint : known) {
    MacAddress target = {2, 0, 0, 0, 0, endpoint.address[15]};
    if (endpoint.address[15] >= 100) {
      target = kClientMac;
    }
    entries[endpoint.address] = {0, target, endpoint_.address};
  }
  engine_->publish_next_hops(NextHopTable(std::move(entries)));
}

std::size_t RingRelay::poll() {
  std::size_t count = 0;
  for (std::size_t worker = 0; worker < options_.workers; ++worker) {
    const NoAllocation guard;
    count += engine_->poll_once(worker);
  }
  return count;
}

// ---- all of them ----

RingWorld::RingWorld(const WorldOptions& options)
    : options_(options), now_ms_(kStartMs), client_(address_of(100, options.is_ipv6, 40123)) {
  const EngineClock clock{
      &now_ms_, [](void* state) noexcept { return *static_cast<const std::uint64_t*>(state); }};
  for (std::size_t number = 1; number <= options.relay_count; ++number) {
    relays_.push_back(std::make_unique<RingRelay>(number, options, clock));
  }
  publish_all();
  if (options.knows_neighbours) {
    publish_neighbours();
  }
}

void RingWorld::publish_all() {
  for (const auto& relay : relays_) {
    relay->publish(relays_, now_ms_);
  }
}

void RingWorld::publish_neighbours() {
  std::vector<onion::Endpoint> everybody;
  for (std::size_t number = 1; number <= relays_.size(); ++number) {
    everybody.push_back(address_of(number, options_.is_ipv6, 0));
  }
  for (std::size_t number = 100; number < 110; ++number) {
    everybody.push_back(address_of(number, options_.is_ipv6, 0));
  }
  for (const auto& relay : relays_) {
    relay->publish_neighbours(everybody);
  }
}

void RingWorld::advance_ms(std::uint64_t ms) {
  now_ms_ += ms;
  for (const auto& relay : relays_) {
    relay->engine().maintain();
  }
}

bool RingWorld::send(std::size_t relay_index, Bytes datagram, std::size_t queue) {
  return send_from(client_, relay_index, datagram, queue);
}

bool RingWorld::send_from(const onion::Endpoint& source, std::size_t relay_index, Bytes datagram,
                          std::size_t queue) {
  RingRelay& target = *relays_[relay_index];
  return target.device().put(
      queue, make_frame({kClientMac, target.mac(), source, target.endpoint()}, datagram));
}

void RingWorld::forward(FrameBytes frame) {
  ASSERT_TRUE(is_sound(frame));
  if (std::equal(kClientMac.begin(), kClientMac.end(), frame.begin())) {
    const PortIdentity any{kClientMac, {client_.address}, client_.port};
    const auto parsed = parse_frame(frame, any);
    ASSERT_TRUE(parsed);
    const auto payload = frame.begin() + static_cast<std::ptrdiff_t>(parsed->payload_offset);
    arrived_.push_back({parsed->source, {payload, frame.end()}});
    return;
  }
  for (std::size_t index = 0; index < relays_.size(); ++index) {
    const MacAddress mac = relays_[index]->mac();
    if (std::equal(mac.begin(), mac.end(), frame.begin())) {
      if (!on_link || on_link(index, frame)) {
        ASSERT_TRUE(relays_[index]->device().put(next_queue_++ % options_.workers, frame));
      }
      return;
    }
  }
  FAIL() << "a frame to nobody";
}

std::size_t RingWorld::switch_frames() {
  std::size_t moved = 0;
  for (const auto& relay : relays_) {
    for (std::size_t queue = 0; queue < options_.workers; ++queue) {
      while (auto frame = relay->device().take(queue)) {
        forward(std::move(*frame));
        ++moved;
      }
    }
  }
  return moved;
}

void RingWorld::settle() {
  // A turn without packets sends setup packets that wait for company, so two quiet rounds are an end.
  for (int quiet = 0; quiet < 2;) {
    std::size_t moved = 0;
    for (const auto& relay : relays_) {
      moved += relay->poll();
    }
    moved += switch_frames();
    quiet = moved == 0 ? quiet + 1 : 0;
  }
}

std::vector<Arrived> RingWorld::take_arrived() {
  return std::exchange(arrived_, {});
}

void RingWorld::expect_balanced(std::uint64_t parked) {
  for (const auto& relay : relays_) {
    const control_port::Counters counters = relay->counters();
    EXPECT_TRUE(is_balanced(counters)) << "relay " << std::hex << relay->id();
    EXPECT_EQ(counters.parked, parked);
  }
}

}  // namespace allium::dataplane
