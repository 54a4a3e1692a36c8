// SPDX-License-Identifier: Apache-2.0
#include "ring_world.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"

namespace allium::dataplane {
namespace {

constexpr std::uint16_t kOnionPort = 22100;
constexpr std::size_t kReplayLines = 4096;
constexpr MacAddress kClientMac = {2, 0, 0, 0, 1, 0};
constexpr std::uint64_t kCounterReadsMax = 2;
constexpr std::uint64_t kStartMs = 2'975'000ULL * 600'000 + 300'000;  // the middle of an epoch

const crypto_accel::KernelSet& kernels() {
  static const crypto_accel::KernelSet set = *crypto_accel::select_kernels("");
  return set;
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
    config.vdevs = {kNullDevice};
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
    : name_{number, address_of(number, options.is_ipv6, kOnionPort)},
      options_(options),
      clock_(clock),
      replay_(onion::ReplaySet::bytes_needed(kReplayLines)),
      handles_(onion::HandleTable::bytes_needed(handle_limits())) {
  make_engine();
}

MacAddress RingRelay::mac() const {
  return {2, 0, 0, 0, 0, static_cast<std::uint8_t>(name_.number)};
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
  config.kernels = options_.kernels != nullptr ? *options_.kernels : kernels();
  config.ports.push_back({device_->dpdk_port(), {mac(), {name_.endpoint.address}, kOnionPort}});
  config.worker_count = options_.workers;
  config.pool = test_pool();
  config.clock = clock_;
  config.burst_max = options_.burst_max;
  config.parked_max = options_.parked_max;
  config.unresolved_max = options_.unresolved_max;
  config.deliveries_max = options_.deliveries_max;
  config.setups_waiting_max = options_.setups_waiting_max;
  config.setup_share_percent = options_.setup_share_percent;
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

void RingRelay::publish(const std::vector<RelayName>& all, std::uint64_t now_ms) {
  SnapshotWish wish;
  wish.serial = ++serial_;
  wish.start = start_;
  wish.sequence_count = options_.sequence_count;
  wish.cookie_required = options_.cookie_required;
  wish.now_ms = now_ms;
  TestSnapshot snapshot = make_snapshot(name_, all, wish);
  const auto published = engine_->publish(snapshot.begin, std::move(snapshot.peers));
  ASSERT_TRUE(published) << published.error().text;
}

void RingRelay::publish_neighbours(const std::vector<onion::Endpoint>& known) {
  NextHopTable::Entries entries;
  for (const onion::Endpoint& endpoint : known) {
    MacAddress target = {2, 0, 0, 0, 0, endpoint.address[15]};
    if (endpoint.address[15] >= 100) {
      target = kClientMac;
    }
    entries[endpoint.address] = {0, target, name_.endpoint.address};
  }
  engine_->publish_next_hops(NextHopTable(std::move(entries)));
}

std::size_t RingRelay::poll() {
  std::size_t count = 0;
  for (std::size_t worker = 0; worker < options_.workers; ++worker) {
    WatchedTurn turn(engine_->news_descriptor());
    count += engine_->poll_once(worker);
    enter(turn.end());
  }
  return count;
}

std::size_t RingRelay::setups_waiting() const {
  std::size_t count = 0;
  for (std::size_t worker = 0; worker < options_.workers; ++worker) {
    count += engine_->setups_waiting(worker);
  }
  return count;
}

void RingRelay::enter(const Acts& turn) {
  ++acts_.turns;
  acts_.sum.system_calls += turn.system_calls;
  acts_.sum.bells += turn.bells;
  acts_.sum.counter_reads += turn.counter_reads;
  acts_.sum.clock_reads += turn.clock_reads;
  acts_.sum.locks += turn.locks;
  acts_.counter_reads_max = std::max(acts_.counter_reads_max, turn.counter_reads);
  if (!options_.is_quiet) {
    return;
  }
  EXPECT_EQ(turn.system_calls, 0U) << "the first is number " << turn.first_system_call;
  EXPECT_LE(turn.bells, 1U);
  EXPECT_EQ(turn.clock_reads, 1U);
  EXPECT_LE(turn.counter_reads, kCounterReadsMax);
}

// ---- all of them ----

RingWorld::RingWorld(const WorldOptions& options)
    : options_(options), time_{kStartMs, 0}, client_(address_of(100, options.is_ipv6, 40123)) {
  EngineClock clock{&time_, [](void* state) noexcept {
                      WatchedTurn::note_clock_read();
                      return static_cast<const WorldTime*>(state)->now_ms;
                    }};
  if (options.has_own_tsc) {
    clock.now_tsc = [](void* state) noexcept { return static_cast<WorldTime*>(state)->now_tsc; };
    clock.tsc_hz = kTscHz;
  }
  for (std::size_t number = 1; number <= options.relay_count; ++number) {
    relays_.push_back(std::make_unique<RingRelay>(number, options, clock));
  }
  publish_all();
  if (options.knows_neighbours) {
    publish_neighbours();
  }
}

void RingWorld::publish_all() {
  std::vector<RelayName> all;
  for (const auto& relay : relays_) {
    all.push_back(relay->name());
  }
  for (const auto& relay : relays_) {
    relay->publish(all, time_.now_ms);
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
  time_.now_ms += ms;
  for (const auto& relay : relays_) {
    relay->engine().maintain();
  }
}

bool RingWorld::send(std::size_t relay_index, Bytes datagram) {
  return send_to_queue(relay_index, datagram, 0);
}

bool RingWorld::send_to_queue(std::size_t relay_index, Bytes datagram, std::size_t queue) {
  RingRelay& target = *relays_[relay_index];
  return target.device().put(
      queue, make_frame({kClientMac, target.mac(), client_, target.endpoint()}, datagram));
}

std::vector<Arrived> RingWorld::collect(std::size_t) {
  settle();
  return take_arrived();
}

void RingWorld::crash(std::size_t relay_index) {
  relays_[relay_index]->restart();
  publish_all();
  publish_neighbours();
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
      moved += relay->poll() + relay->setups_waiting();
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
    EXPECT_TRUE(is_balanced(counters)) << "relay " << relay->name().number;
    EXPECT_EQ(counters.parked, parked);
  }
}

}  // namespace allium::dataplane
