// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys of one relay over time: made ahead, handed to the dataplane, published, erased on schedule
// (SPEC.md section 3), and with them the numbers that may be used once only.
//
//   Units      now_ms is Unix time in milliseconds.
//   Ownership  owns every private key of the node; borrows the random source.
//   Errors     Errc::full: more starts in an epoch than there are sequence ranges; the node has to wait for
//              the next epoch.
//   Threads    one.
//   Limits     onion::kEpochsMax epochs and kHoursMax hours at a time.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "control/network/ed25519.hpp"
#include "control/network/network_document.hpp"
#include "control/network/node_record.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/base/secret.hpp"
#include "dataplane/control_port/messages.hpp"

namespace allium::control {

/// Another relay of the network: where it is, and its onion keys as its record says.
struct PeerKeys {
  std::uint32_t id = 0;
  onion::Endpoint endpoint;
  std::vector<OnionKey> keys;
};

/// A snapshot for the dataplane, in the two parts in which it travels.
struct NodeSnapshot {
  control_port::SnapshotBegin begin;
  std::vector<onion::PeerConfig> peers;
};

class NodeKeys {
 public:
  /// Of everything that has to outlive the process.
  static constexpr std::size_t kStateBytes = 4096;
  using State = Secret<kStateBytes>;

  /// New keys.
  NodeKeys(IdentitySecret identity, const Random& random, std::uint64_t now_ms);

  /// Those that save() gave, where they are of this identity and of this form; else new ones.
  NodeKeys(IdentitySecret identity, const Random& random, std::uint64_t now_ms, const State& kept);

  /// For memory that outlives the process and is on no disk. To be kept before a snapshot is handed out: what was used
  /// may not be forgotten.
  void save(State& target) const;

  /// True where a dataplane has had these keys already: a replay set that is new has then lost something.
  [[nodiscard]] bool have_served() const noexcept { return snapshot_serial_ != 0; }

  /// Makes what will be needed and erases what is over. True where anything changed: publish a snapshot, and
  /// the record where `record_changed()`.
  bool advance(std::uint64_t now_ms);

  [[nodiscard]] const IdentityKey& identity() const noexcept { return identity_.public_key(); }

  [[nodiscard]] std::uint32_t id() const noexcept { return relay_id(identity()); }

  /// True once after the hour keys changed.
  [[nodiscard]] bool record_changed() noexcept;

  /// The public halves of this hour and the hours to come.
  [[nodiscard]] std::vector<OnionKey> public_keys(std::uint64_t now_ms) const;

  /// The same with the hour before, as long as its links may be in use.
  [[nodiscard]] std::vector<OnionKey> link_public_keys() const;

  /// A record with a number above all that this node has given, in its earlier lives too: milliseconds of its clock.
  Result<SignedNodeRecord> make_record(const std::vector<onion::Endpoint>& endpoints,
                                       std::uint64_t now_ms);

  /// The dataplane is about to start (again): fresh sequence ranges and salts for `worker_count` workers,
  /// at most kWorkersMax.
  Result<void> begin_start(std::size_t worker_count, std::uint64_t now_ms);

  /// Everything that the dataplane needs now.
  Result<NodeSnapshot> make_snapshot(const onion::Endpoint& own_endpoint,
                                     std::span<const PeerKeys> peers, std::uint64_t now_ms);

 private:
  static constexpr std::uint64_t kRangeNumbers = std::uint64_t{1} << 34;
  static constexpr std::uint64_t kRangesMax = (onion::kSeqMax + 1) / kRangeNumbers;
  static constexpr std::uint64_t kSaltAllocsMax = 4096;
  static constexpr std::uint64_t kWorkersMax = 16;
  // Salt allocs come round only in a later epoch, under other keys.
  static_assert(2 * kRangesMax * kWorkersMax < kSaltAllocsMax);

  void make_epoch(std::uint64_t epoch);
  void make_hour(std::uint64_t hour);
  std::vector<onion::LinkSecrets> links_with(const PeerKeys& peer) const;
  bool restore(const State& kept);

  IdentitySecret identity_;
  Random random_;
  std::map<std::uint64_t, onion::EpochSecrets> epochs_;
  std::map<std::uint64_t, onion::HourKey> hours_;
  std::map<std::uint64_t, std::uint64_t> starts_in_epoch_;  ///< ranges handed out; kept as long as
                                                            ///< the onion key of the epoch's hour
  std::map<std::uint64_t, std::uint64_t> range_of_epoch_;   ///< of the running start
  std::uint64_t next_salt_alloc_ = 0;
  std::uint64_t salt_alloc_first_ = 0;
  std::uint64_t snapshot_serial_ = 0;
  std::uint64_t record_number_ = 0;
  bool record_changed_ = true;
};

}  // namespace allium::control
