// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which hop of a path does not answer: one-shot requests to ECHO at hop 1, then hop 2 behind it, and so on,
// until one stays without an answer.
//
// A hop that answers here may still be unable to reach the next one; it is the first silent hop, or the
// link to it, that is named.
//
//   Errors     none; silence is the result.
//   Threads    one.
//   Limits     kAttempts packets a hop.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "tools/client/setup_exchange.hpp"
#include "tools/client/talk.hpp"

namespace allium::client {

class HopProbe {
 public:
  HopProbe(PathPlan plan, CookieJar& cookies, const Random& random);

  void on_time(Wire& wire, const Moment& now);
  bool on_datagram(Wire& wire, const onion::Endpoint& source, Bytes datagram, const Moment& now);

  [[nodiscard]] std::uint64_t deadline_us() const noexcept;

  [[nodiscard]] bool finished() const noexcept { return !exchange_; }

  /// Round trips of the hops that answered, entry first.
  [[nodiscard]] const std::vector<std::uint64_t>& round_trips_us() const noexcept {
    return round_trips_us_;
  }

  [[nodiscard]] const PathPlan& plan() const noexcept { return plan_; }

  /// "hop 2 (n7) does not answer, hop 1 (n3) does", or that all answer.
  [[nodiscard]] std::string finding() const;

 private:
  static constexpr std::size_t kAttempts = 2;
  static constexpr std::uint64_t kTimeoutUs = 500'000;

  void begin_hop();
  void take_result();

  PathPlan plan_;
  CookieJar* cookies_;
  Random random_;
  std::int64_t phase_ms_;
  std::optional<SetupExchange> exchange_;
  std::vector<std::uint64_t> round_trips_us_;
};

}  // namespace allium::client
