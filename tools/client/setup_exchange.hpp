// SPDX-License-Identifier: Apache-2.0
#pragma once

// One setup packet and its answer (SPEC.md sections 4 and 10 to 12): S1 opens a path, S0 is a one-shot
// request, to ECHO or to another service. Answers cookie challenges with the same packet; after a timeout builds a new one,
// since a relay that has seen the first would take it for a replay.
//
//   Ownership  borrows nothing but the cookie jar, which outlives it. Secrets are wiped with the object.
//   Errors     failure() once the attempts are used up; wrong answers are ignored and waited out.
//   Threads    one.
//   Limits     kAttempts packets, all of which may still be answered.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

/// Cookies by entry. A cookie belongs to our address and port, so a jar belongs to one wire.
class CookieJar {
 public:
  [[nodiscard]] onion::Cookie get(const onion::Endpoint& entry) const;
  void put(const onion::Endpoint& entry, const onion::Cookie& cookie);

 private:
  static constexpr std::size_t kEntriesMax = 64;
  std::map<onion::Endpoint, onion::Cookie> cookies_;
};

class SetupExchange {
 public:
  static constexpr std::size_t kAttemptsMax = 4;

  struct Request {
    onion::PacketType type = onion::PacketType::s1;
    PathPlan plan;
    std::int64_t phase_ms = 0;  ///< added to the clock (SPEC.md section 3)
    std::size_t attempts = kAttemptsMax;
    std::uint64_t timeout_us = 600'000;  ///< of the first attempt; doubles with each
    onion::Service service = onion::Service::echo;
    std::vector<std::uint8_t> data;  ///< X_R, at most that of the type; empty: random bytes
    /// S0 to a service other than ECHO: each packet that answers attempt number `attempt`, opened and no repetition. True: the
    /// answer is complete.
    std::function<bool(std::size_t attempt, const onion::BackwardPacket& packet)> on_packet;
  };

  SetupExchange(Request request, CookieJar& cookies, const Random& random);

  enum class State : std::uint8_t { waiting, answered, failed };

  /// Sends the first packet, or the next one when the time is up.
  void on_time(Wire& wire, const Moment& now);

  /// True where the datagram was an answer to this exchange, good or bad.
  bool on_datagram(Wire& wire, const onion::Endpoint& source, Bytes datagram, const Moment& now);

  [[nodiscard]] std::uint64_t deadline_us() const noexcept { return deadline_us_; }

  [[nodiscard]] State state() const noexcept { return state_; }

  /// Why, where state() is failed: Errc::timeout, or what build_setup said.
  [[nodiscard]] const Error& failure() const noexcept { return failure_; }

  /// True where the entry has sent anything at all.
  [[nodiscard]] bool entry_spoke() const noexcept { return entry_spoke_; }

  [[nodiscard]] const Request& request() const noexcept { return request_; }

  // Where state() is answered:

  /// S1: the opened path. May be moved out once.
  [[nodiscard]] onion::PathSession& session() noexcept { return session_; }

  /// The clock when the answered packet was sent.
  [[nodiscard]] std::uint64_t sent_unix_ms() const noexcept { return answered_sent_.unix_ms; }

  [[nodiscard]] std::uint64_t round_trip_us() const noexcept { return round_trip_us_; }

  /// When the challenge was answered, counted from the first packet; 0: there was none.
  [[nodiscard]] std::uint64_t challenge_after_us() const noexcept { return challenge_after_us_; }

 private:
  struct Attempt {
    onion::SetupPacket packet;
    Moment sent;
    bool challenged = false;
    std::uint64_t seen =
        0;  ///< numbers of answers below 64, as bits (SPEC.md section 11: a window of 64)
  };

  void send_attempt(Wire& wire, const Moment& now);
  bool on_challenge(Wire& wire, const onion::BackwardEnvelope& envelope, Bytes datagram,
                    const Moment& now);
  bool on_return(const onion::BackwardEnvelope& envelope, Bytes datagram, const Moment& now);
  [[nodiscard]] bool accept(Attempt& attempt, const onion::BackwardPacket& packet);
  [[nodiscard]] bool accept_piece(Attempt& attempt, const onion::BackwardPacket& packet);
  void give_up(Error error);

  Request request_;
  CookieJar* cookies_;
  Random random_;
  std::vector<std::uint8_t> sent_data_;  ///< X_R of the request: ECHO must bring it back
  State state_ = State::waiting;
  Error failure_;
  std::vector<Attempt> attempts_;
  std::uint64_t first_sent_us_ = 0;
  std::uint64_t deadline_us_ = 0;
  std::uint64_t challenge_after_us_ = 0;
  bool entry_spoke_ = false;
  onion::PathSession session_;
  Moment answered_sent_;
  std::uint64_t round_trip_us_ = 0;
};

/// The clock with a path's phase.
[[nodiscard]] constexpr std::uint64_t phased_ms(std::uint64_t unix_ms,
                                                std::int64_t phase_ms) noexcept {
  return unix_ms + static_cast<std::uint64_t>(phase_ms);
}

}  // namespace allium::client
