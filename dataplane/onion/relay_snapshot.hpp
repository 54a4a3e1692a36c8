// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a relay knows at a moment: itself, the relays of the network document, its keys. Immutable once
// built; workers read it, the main thread replaces it whole.
//
//   Ownership  the builder hands it over by unique_ptr; it wipes its keys when it goes.
//   Threads    const after build(): any number of readers.
//   Limits     kPeersMax relays, kEpochsMax epochs, kHoursMax hours. More is refused, never cut.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/base/secret.hpp"
#include "crypto_accel/onion_batch.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/endpoint.hpp"
#include "dataplane/onion/internal/peer_index.hpp"

namespace allium::onion {

inline constexpr std::size_t kPeersMax = 4096;
inline constexpr std::size_t kEpochsMax = 4;
inline constexpr std::size_t kHoursMax = 4;

/// The relay-local keys of an epoch, raw (SPEC.md section 3).
struct EpochSecrets {
  std::uint64_t epoch = 0;
  Secret<16> segment;       ///< A_e
  Secret<16> secret;        ///< B_e
  Secret<16> return_block;  ///< E_e
  Secret<16> replay;        ///< R_e
  Secret<16> cookie;        ///< C_e
};

/// The onion key of an hour.
struct HourKey {
  std::uint64_t hour = 0;
  crypto_accel::PrivateKey private_key;
  crypto_accel::PublicKey public_key{};
};

/// Keys of both directions of one link in one epoch, raw.
struct LinkSecrets {
  std::uint64_t epoch = 0;
  Secret<16> in_mac;
  Secret<16> in_veil;
  Secret<16> out_mac;
  Secret<16> out_veil;
};

struct PeerConfig {
  std::uint32_t id = 0;
  Endpoint endpoint;
  std::vector<LinkSecrets> links;  ///< at most kEpochsMax; a missing epoch is a missing onion key
};

struct SnapshotConfig {
  std::uint32_t own_id = 0;
  std::vector<PeerConfig> peers;  ///< every relay of the document but this one
  Endpoint own_endpoint;          ///< a packet from it finds no link: `ll_key`
  std::vector<EpochSecrets> epochs;
  std::vector<HourKey> hours;
  bool cookie_required = true;
};

class RelaySnapshot {
 public:
  struct Epoch {
    std::uint64_t epoch;
    crypto_accel::AesKey segment;
    crypto_accel::AesKey secret;
    crypto_accel::AesKey replay;
    Block segment_raw;  ///< for sealing new segments
    Block secret_raw;
    Block return_block;
    Block cookie;
  };

  struct Link {
    crypto_accel::LinkKey in;
    crypto_accel::LinkKey out;
  };

  struct Peer {
    std::uint32_t id;
    Endpoint endpoint;
    std::size_t link_count;
    std::array<std::uint64_t, kEpochsMax> link_epochs;  ///< in one line: keys lie far apart
    std::array<Link, kEpochsMax> links;

    /// Null where there is no key for that epoch.
    [[nodiscard]] const Link* link(std::uint64_t epoch) const noexcept {
      for (std::size_t i = 0; i < link_count; ++i) {
        if (link_epochs[i] == epoch) {
          return &links[i];
        }
      }
      return nullptr;
    }
  };

  /// Expands every key with `batch`'s kernel. Fails with Errc::full beyond a limit, Errc::malformed on
  /// two relays with one id or one endpoint.
  static Result<std::unique_ptr<const RelaySnapshot>> build(const SnapshotConfig& config,
                                                            crypto_accel::OnionBatch& batch);
  ~RelaySnapshot();
  RelaySnapshot(const RelaySnapshot&) = delete;
  RelaySnapshot& operator=(const RelaySnapshot&) = delete;

  [[nodiscard]] std::uint32_t own_id() const noexcept { return own_id_; }

  [[nodiscard]] const Endpoint& own_endpoint() const noexcept { return own_endpoint_; }

  [[nodiscard]] bool cookie_required() const noexcept { return cookie_required_; }

  [[nodiscard]] const Epoch* epoch(std::uint64_t epoch) const noexcept {
    for (std::size_t i = 0; i < epoch_count_; ++i) {
      if (epochs_[i].epoch == epoch) {
        return &epochs_[i];
      }
    }
    return nullptr;
  }

  [[nodiscard]] const HourKey* hour(std::uint64_t hour) const noexcept;

  [[nodiscard]] std::span<const Peer> peers() const noexcept { return peers_; }

  /// Null for an unknown source.
  [[nodiscard]] const Peer* peer_by_endpoint(const Endpoint& endpoint) const noexcept {
    const std::uint32_t found = by_endpoint_.find(endpoint);
    return found != by_endpoint_.kNone ? &peers_[found] : nullptr;
  }

  [[nodiscard]] const Peer* peer_by_id(std::uint32_t id) const noexcept {
    const std::uint32_t found = by_id_.find(id);
    return found != by_id_.kNone ? &peers_[found] : nullptr;
  }

  /// The same for who has been found before, in this snapshot or another one: `index` is where.
  [[nodiscard]] const Peer* peer_by_id(std::uint32_t id, std::uint32_t index) const noexcept {
    return index < peers_.size() && peers_[index].id == id ? &peers_[index] : peer_by_id(id);
  }

  /// Of a peer of this snapshot, for the look-up above.
  [[nodiscard]] std::uint32_t index_of(const Peer& peer) const noexcept {
    return static_cast<std::uint32_t>(&peer - peers_.data());
  }

 private:
  RelaySnapshot();

  void add_keys(const SnapshotConfig& config, crypto_accel::OnionBatch& batch);
  Result<void> add_peers(const SnapshotConfig& config, crypto_accel::OnionBatch& batch);

  std::uint32_t own_id_ = 0;
  Endpoint own_endpoint_;
  bool cookie_required_ = true;
  std::size_t epoch_count_ = 0;
  std::array<Epoch, kEpochsMax> epochs_{};
  std::vector<HourKey> hours_;
  std::vector<Peer> peers_;
  internal::PeerIndex<Endpoint> by_endpoint_;
  internal::PeerIndex<std::uint32_t> by_id_;
};

}  // namespace allium::onion
