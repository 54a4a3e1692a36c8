// SPDX-License-Identifier: Apache-2.0
#pragma once

// Keeps one path to ECHO open: opens it, opens the next one before its life ends, and says which hop is
// to blame when it cannot. A path is left only when its life ends, never because answers stay away.
//
// Flow: start -> on_time (S1) -> on_datagram (C, R) -> current() -> on_time (renewal) -> ...
//
//   Ownership  borrows network, talk and random, which outlive it.
//   Errors     start and failure(): Errc::not_found, timeout, ... with the hop in the text. Once a path has
//              been open there is no failure any more: a renewal that fails is tried again, later and later.
//   Threads    one.
//   Limits     two open paths (the one before is kept for late answers), one opening, one probe.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "tools/client/client_path.hpp"
#include "tools/client/hop_probe.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/setup_exchange.hpp"
#include "tools/client/talk.hpp"
#include "tools/client/wire.hpp"

namespace allium::client {

class PathKeeper {
 public:
  PathKeeper(NetworkSource& network, PathChoice choice, const Random& random, Talk& talk);

  /// Loads the network and prepares the first path; on_time sends.
  [[nodiscard]] Result<void> start(const Moment& now);

  void on_time(Wire& wire, const Moment& now);

  /// Data that came back over a path.
  struct Data {
    std::uint64_t path_number;  ///< 1 for the first path
    ClientPath::Received received;
  };

  /// Takes any datagram; nullopt where it brings no data.
  [[nodiscard]] std::optional<Data> on_datagram(Wire& wire, const onion::Endpoint& source,
                                                Bytes datagram, const Moment& now);

  /// The tick at which on_time has something to do.
  [[nodiscard]] std::uint64_t deadline_us(const Moment& now) const;

  /// The path to send on; null while there is none.
  [[nodiscard]] ClientPath* current() noexcept { return current_.get(); }

  /// How many paths have been opened; also the number of the current one.
  [[nodiscard]] std::uint64_t paths_opened() const noexcept { return paths_opened_; }

  /// Set once the first path cannot be opened.
  [[nodiscard]] const std::optional<Error>& failure() const noexcept { return failure_; }

  /// Starts to find out which hop of the current path is silent, and says it. At most one at a time.
  void diagnose();

  /// The last finding of a probe; empty: none yet.
  [[nodiscard]] const std::string& finding() const noexcept { return finding_; }

  /// Probes every hop of the current path once and says its round trip (--trace).
  void trace_hops();

  [[nodiscard]] bool probing() const noexcept { return probe_ && !probe_->finished(); }

  [[nodiscard]] const IgnoredCounts& ignored() const noexcept { return ignored_; }

  [[nodiscard]] std::uint64_t open_us() const noexcept { return open_us_; }

 private:
  [[nodiscard]] Result<void> begin_opening(const Moment& now);
  void take_opening(const Moment& now);
  void opening_failed(const Moment& now);
  void take_probe(const Moment& now);
  void renew_if_due(const Moment& now);
  void drop_ended(const Moment& now);

  NetworkSource* network_;
  PathChoice choice_;
  Random random_;
  Talk* talk_;
  CookieJar cookies_;
  std::unique_ptr<SetupExchange> opening_;
  std::unique_ptr<ClientPath> current_;
  std::unique_ptr<ClientPath> previous_;
  std::unique_ptr<HopProbe> probe_;
  bool probe_for_trace_ = false;
  std::uint64_t paths_opened_ = 0;
  std::uint64_t open_us_ = 0;
  std::uint64_t retry_at_us_ = 0;
  std::uint64_t retry_wait_us_ = 0;
  std::optional<Error> failure_;
  std::string finding_;
  IgnoredCounts ignored_;
};

}  // namespace allium::client
