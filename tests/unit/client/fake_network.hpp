// SPDX-License-Identifier: Apache-2.0
#pragma once

// A network of real relays (onion::Relay) in memory, on a clock of its own: what the client sees instead of
// sockets. Datagrams are events in a queue; receive() lets time pass from one to the next.
//
//   Units      ticks in microseconds; Unix time is start_unix_ms + ticks.
//   Threads    one.

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "crypto_accel/kernel_registry.hpp"
#include "dataplane/onion/relay.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

struct FakeWeather {
  double loss = 0;  ///< of each datagram on each link
  double repeat = 0;
  std::uint64_t delay_us = 500;
  std::uint64_t jitter_us = 0;
};

class FakeRelay;

class FakeNetwork final : public Wire, public NetworkSource {
 public:
  /// `ipv6_client`: the client has an IPv6 address, so that its entries use handles.
  FakeNetwork(std::size_t relay_count, std::uint64_t start_unix_ms, bool ipv6_client = false);
  ~FakeNetwork() override;

  FakeWeather weather;

  /// Every client datagram that is sent to `relay` or comes from it is lost while it is down.
  void set_down(const std::string& relay, std::uint64_t from_us, std::uint64_t to_us);

  /// Sees each datagram that reaches the client and may change it.
  std::function<void(std::vector<std::uint8_t>& datagram)> on_way_to_client;

  /// Interrupts the client at this tick.
  std::uint64_t interrupt_at_us = kNever;

  /// Moves the clock between two calls of the client.
  void advance_us(std::uint64_t us) { tick_us_ += us; }

  [[nodiscard]] std::uint64_t verdicts(const std::string& relay, onion::Verdict verdict) const;

  /// Datagrams that the client sent to anybody.
  [[nodiscard]] std::uint64_t client_datagrams() const { return client_datagrams_; }

  // Wire
  [[nodiscard]] Moment now() override;
  void send(const onion::Endpoint& target, Bytes datagram) override;
  [[nodiscard]] std::optional<Arrival> receive(MutableBytes buffer,
                                               std::uint64_t deadline_us) override;

  [[nodiscard]] bool interrupted() override { return tick_us_ >= interrupt_at_us; }

  // NetworkSource
  [[nodiscard]] Result<NetworkView> load() override;

 private:
  struct Event {
    std::uint64_t at_us;
    std::uint64_t order;
    onion::Endpoint source;
    onion::Endpoint target;
    std::vector<std::uint8_t> datagram;

    bool operator>(const Event& other) const {
      return at_us != other.at_us ? at_us > other.at_us : order > other.order;
    }
  };

  struct Outage {
    std::uint64_t from_us;
    std::uint64_t to_us;
  };

  void carry(const onion::Endpoint& source, const onion::Endpoint& target, Bytes datagram);
  void run_relay(FakeRelay& relay, Event event);
  [[nodiscard]] bool is_down(const std::string& name) const;

  [[nodiscard]] std::uint64_t unix_ms() const { return start_unix_ms_ + tick_us_ / 1000; }

  std::uint64_t start_unix_ms_;
  std::uint64_t tick_us_ = 1'000'000;
  std::uint64_t next_order_ = 0;
  std::uint64_t client_datagrams_ = 0;
  onion::Endpoint client_;
  std::mt19937_64 generator_{11};
  std::vector<std::unique_ptr<FakeRelay>> relays_;
  std::map<std::string, Outage> outages_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

}  // namespace allium::client
