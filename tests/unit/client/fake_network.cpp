// SPDX-License-Identifier: Apache-2.0
#include "fake_network.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include <gtest/gtest.h>
#include <sodium.h>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/link_keys.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::client {
namespace {

constexpr std::size_t kReplayLines = 1024;

/// Zeroed memory with the alignment of a cache line.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t byte_count) : byte_count_((byte_count + 63) / 64 * 64) {
    memory_ = static_cast<std::byte*>(::operator new (byte_count_, std::align_val_t{64}));
    std::memset(memory_, 0, byte_count_);
  }

  ~SharedMemory() { ::operator delete (memory_, std::align_val_t{64}); }

  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  [[nodiscard]] std::span<std::byte> bytes(std::size_t count) { return {memory_, count}; }

 private:
  std::size_t byte_count_;
  std::byte* memory_;
};

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

bool take_number(void* state, std::uint64_t, std::uint64_t& number) noexcept {
  number = ++*static_cast<std::uint64_t*>(state);
  return true;
}

bool take_delivery(void*, const onion::Delivery&) noexcept {
  return true;
}

const crypto_accel::KernelSet& kernels() {
  static const crypto_accel::KernelSet set = *crypto_accel::select_kernels("");
  return set;
}

}  // namespace

class FakeRelay {
 public:
  explicit FakeRelay(std::size_t number)
      : number_(number),
        replay_memory_(onion::ReplaySet::bytes_needed(kReplayLines)),
        handle_memory_(onion::HandleTable::bytes_needed(onion::HandleLimits{})),
        replay_(*onion::ReplaySet::attach(
            replay_memory_.bytes(onion::ReplaySet::bytes_needed(kReplayLines)), kReplayLines, 0)),
        handles_(std::move(*onion::HandleTable::attach(
            handle_memory_.bytes(onion::HandleTable::bytes_needed(onion::HandleLimits{})),
            onion::HandleLimits{}, 1))),
        batch_(*kernels().onion) {
    const std::array<std::uint8_t, 4> address = {10, 0, 0, static_cast<std::uint8_t>(number)};
    endpoint_ = onion::Endpoint::from_v4(address.data(), 4242);
    onion::RelayParts parts;
    parts.kernels = kernels();
    parts.replay = &replay_;
    parts.handles = &handles_;
    parts.bridge = &bridge_;
    parts.sequence = {&link_number_, take_number};
    parts.salt = {&salt_number_, take_number};
    parts.random = system_random();
    parts.sink = {nullptr, take_delivery};
    relay_ = std::make_unique<onion::Relay>(parts);
  }

  [[nodiscard]] std::string name() const { return "n" + std::to_string(number_); }

  [[nodiscard]] std::uint32_t id() const { return 0xA000U + static_cast<std::uint32_t>(number_); }

  [[nodiscard]] const onion::Endpoint& endpoint() const { return endpoint_; }

  [[nodiscard]] std::size_t number() const { return number_; }

  /// Makes the keys of the epoch; `others` are all relays.
  void follow(const std::vector<std::unique_ptr<FakeRelay>>& others, std::uint64_t now_ms) {
    const std::uint64_t epoch = onion::epoch_of(now_ms);
    if (snapshot_ && epoch == epoch_) {
      return;
    }
    epoch_ = epoch;
    onion::SnapshotConfig config;
    config.own_id = id();
    config.own_endpoint = endpoint_;
    const std::uint64_t hour = onion::hour_of(now_ms);
    for (const std::uint64_t near : {hour - 1, hour, hour + 1}) {
      config.hours.push_back(hour_key(number_, near));
    }
    for (std::uint64_t near = epoch - 1; near <= epoch + 1; ++near) {
      onion::EpochSecrets secrets;
      secrets.epoch = near;
      make_key(secrets.segment.bytes(), number_, 'A', near);
      make_key(secrets.secret.bytes(), number_, 'B', near);
      make_key(secrets.return_block.bytes(), number_, 'E', near);
      make_key(secrets.replay.bytes(), number_, 'R', near);
      make_key(secrets.cookie.bytes(), number_, 'C', near);
      config.epochs.push_back(std::move(secrets));
    }
    for (const auto& other : others) {
      if (other->number_ != number_) {
        config.peers.push_back(peer(*other, epoch));
      }
    }
    auto built = onion::RelaySnapshot::build(config, batch_);
    ASSERT_TRUE(built) << built.error().text;
    snapshot_ = std::move(*built);
  }

  void run(onion::Burst& burst, std::uint64_t now_ms) {
    replay_.raise_floor(onion::slot_of(now_ms) - 1);
    replay_.clear_all_due();
    relay_->run(*snapshot_, burst, now_ms);
    ++verdicts[static_cast<std::size_t>(burst.verdict[0])];
  }

  std::array<std::uint64_t, onion::kVerdictCount> verdicts{};

 private:
  [[nodiscard]] onion::PeerConfig peer(const FakeRelay& other, std::uint64_t epoch) const {
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

  std::size_t number_;
  onion::Endpoint endpoint_;
  SharedMemory replay_memory_;
  SharedMemory handle_memory_;
  onion::ReplaySet replay_;
  onion::HandleTable handles_;
  onion::Bridge bridge_;
  crypto_accel::OnionBatch batch_;
  std::uint64_t link_number_ = 0;
  std::uint64_t salt_number_ = 0;
  std::unique_ptr<onion::Relay> relay_;
  std::unique_ptr<const onion::RelaySnapshot> snapshot_;
  std::uint64_t epoch_ = 0;
};

FakeNetwork::FakeNetwork(std::size_t relay_count, std::uint64_t start_unix_ms, bool ipv6_client)
    : start_unix_ms_(start_unix_ms) {
  if (ipv6_client) {
    const std::array<std::uint8_t, 16> address = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0,
                                                  0,    0, 0,   0,    0, 0, 0, 9};
    client_ = onion::Endpoint::from_v6(address.data(), 40123);
  } else {
    const std::array<std::uint8_t, 4> address = {192, 0, 2, 9};
    client_ = onion::Endpoint::from_v4(address.data(), 40123);
  }
  for (std::size_t number = 1; number <= relay_count; ++number) {
    relays_.push_back(std::make_unique<FakeRelay>(number));
  }
}

FakeNetwork::~FakeNetwork() = default;

void FakeNetwork::set_down(const std::string& relay, std::uint64_t from_us, std::uint64_t to_us) {
  outages_[relay] = {from_us, to_us};
}

bool FakeNetwork::is_down(const std::string& name) const {
  const auto found = outages_.find(name);
  return found != outages_.end() && tick_us_ >= found->second.from_us &&
         tick_us_ < found->second.to_us;
}

std::uint64_t FakeNetwork::verdicts(const std::string& relay, onion::Verdict verdict) const {
  for (const auto& candidate : relays_) {
    if (candidate->name() == relay) {
      return candidate->verdicts[static_cast<std::size_t>(verdict)];
    }
  }
  ADD_FAILURE() << "no relay " << relay;
  return 0;
}

Moment FakeNetwork::now() {
  return {unix_ms(), tick_us_};
}

void FakeNetwork::send(const onion::Endpoint& target, Bytes datagram) {
  ++client_datagrams_;
  carry(client_, target, datagram);
}

void FakeNetwork::carry(const onion::Endpoint& source, const onion::Endpoint& target,
                        Bytes datagram) {
  std::uniform_real_distribution<double> chance(0, 1);
  if (chance(generator_) < weather.loss) {
    return;
  }
  const int copies = chance(generator_) < weather.repeat ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const std::uint64_t jitter_us = weather.jitter_us == 0 ? 0 : generator_() % weather.jitter_us;
    events_.push({tick_us_ + weather.delay_us + jitter_us, ++next_order_, source, target,
                  std::vector<std::uint8_t>(datagram.begin(), datagram.end())});
  }
}

void FakeNetwork::run_relay(FakeRelay& relay, Event event) {
  if (is_down(relay.name())) {
    return;
  }
  relay.follow(relays_, unix_ms());
  std::array<std::uint8_t, onion::kDatagramBytesMax> room{};
  ASSERT_LE(event.datagram.size(), room.size());
  std::copy(event.datagram.begin(), event.datagram.end(), room.begin());
  onion::Burst burst;
  burst.count = 1;
  burst.data[0] = room.data();
  burst.bytes[0] = static_cast<std::uint16_t>(event.datagram.size());
  burst.source[0] = event.source;
  relay.run(burst, unix_ms());
  if (burst.outgoing[0] != onion::Outgoing::none) {
    carry(relay.endpoint(), burst.target[0].endpoint, Bytes(room).first(burst.bytes[0]));
  }
}

std::optional<Wire::Arrival> FakeNetwork::receive(MutableBytes buffer, std::uint64_t deadline_us) {
  while (!events_.empty() && events_.top().at_us <= std::max(deadline_us, tick_us_)) {
    Event event = events_.top();
    events_.pop();
    tick_us_ = std::max(tick_us_, event.at_us);
    if (event.target == client_) {
      if (on_way_to_client) {
        on_way_to_client(event.datagram);
      }
      std::copy(event.datagram.begin(), event.datagram.end(), buffer.begin());
      return Arrival{event.source, event.datagram.size()};
    }
    for (const auto& relay : relays_) {
      if (relay->endpoint() == event.target) {
        run_relay(*relay, event);
      }
    }
  }
  if (deadline_us == kNever) {
    ADD_FAILURE() << "the client waits for something that never comes";
    interrupt_at_us = tick_us_;
    return std::nullopt;
  }
  tick_us_ = std::max(tick_us_, std::min(deadline_us, interrupt_at_us));
  return std::nullopt;
}

Result<NetworkView> FakeNetwork::load() {
  NetworkView view;
  for (const auto& relay : relays_) {
    RelayView seen;
    seen.name = relay->name();
    seen.id = relay->id();
    seen.endpoint = relay->endpoint();
    const std::uint64_t hour = onion::hour_of(unix_ms());
    for (const std::uint64_t near : {hour - 1, hour, hour + 1}) {
      seen.keys.push_back({near, hour_key(relay->number(), near).public_key});
    }
    view.relays.push_back(std::move(seen));
  }
  return view;
}

}  // namespace allium::client
