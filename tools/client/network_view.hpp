// SPDX-License-Identifier: Apache-2.0
#pragma once

// The network as a client sees it: relays with their addresses and hourly onion keys, out of the network
// document and the nodes' records (control/network checks their signatures).
//
//   Ownership  values; a path keeps copies of the relays it goes through.
//   Errors     NetworkSource::load: Errc::not_found (no running network, no such file), malformed,
//              bad_signature.
//   Threads    one.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::client {

struct OnionKey {
  std::uint64_t hour = 0;
  crypto_accel::PublicKey public_key{};
};

/// A relay that keeps messages besides.
struct ServiceView {
  std::uint64_t swarm = 0;  ///< all ones: in none yet
  std::uint16_t https_port = 0;
};

struct RelayView {
  std::string name;  ///< "n3" in a local network; else the id in hex
  std::uint32_t id = 0;
  onion::Endpoint endpoint;
  std::vector<OnionKey> keys;
  std::array<std::uint8_t, 32> identity{};  ///< Ed25519
  std::optional<ServiceView> service;

  /// Null where no key of that hour is known.
  [[nodiscard]] const crypto_accel::PublicKey* key_of(std::uint64_t hour) const noexcept;
};

/// The relays of a path, entry first.
using PathPlan = std::vector<RelayView>;

struct NetworkView {
  std::vector<RelayView> relays;

  /// By name, or by id as 8 hex digits. Null: no such relay.
  [[nodiscard]] const RelayView* find(std::string_view name) const noexcept;
};

/// Where the view comes from; asked again before each new path, since keys change by the hour.
class NetworkSource {
 public:
  NetworkSource() = default;
  virtual ~NetworkSource() = default;
  NetworkSource(const NetworkSource&) = delete;
  NetworkSource& operator=(const NetworkSource&) = delete;

  [[nodiscard]] virtual Result<NetworkView> load() = 0;
};

/// How the relays of a path are found.
struct PathChoice {
  std::vector<std::string> names;  ///< fixed, entry first; empty: by chance
  std::size_t hop_count = 3;       ///< by chance: how many
  std::string entry;               ///< by chance: keep this entry; empty: any
  std::string end;                 ///< by chance: the last one; empty: any
};

/// Different relays, each with an onion key for `hour`. Errc::not_found names the relay or says how many
/// relays there are.
[[nodiscard]] Result<PathPlan> choose_path(const NetworkView& view, const PathChoice& choice,
                                           std::uint64_t hour, const Random& random);

/// "n1 n5 n9".
[[nodiscard]] std::string path_names(const PathPlan& plan);

/// A uniform number below `bound`. Requires bound > 0.
[[nodiscard]] std::uint64_t random_below(std::uint64_t bound, const Random& random);

}  // namespace allium::client
