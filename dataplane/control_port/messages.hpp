// SPDX-License-Identifier: Apache-2.0
#pragma once

// The only door to a dataplane process: what the controlling process (alliumd, the devnet supervisor)
// and allium-dp say to each other over one Unix SOCK_SEQPACKET connection. The layout of every
// message is in FORMAT.md beside this file.
//
//   Direction  the controller connects; allium-dp listens, and serves one controller at a time. When
//              the controller goes, allium-dp forwards on until its epoch keys run out, and waits
//              for the next.
//   Order      hello -> welcome; configure (once, with the memfds) -> accepted or refused; then
//              snapshots, each a begin, any number of peer chunks, and a commit -> accepted or
//              refused; counters and deliveries at any time.
//   Units      times are Unix milliseconds, sizes bytes, all integers big-endian.
//   Errors     a message that breaks the layout or its order ends the connection: Errc::malformed.
//   Limits     kMessageBytesMax a message; the counts of relay_snapshot.hpp.
//   Secrets    key messages are wiped by both sides after use; nothing here is ever written to disk.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/relay.hpp"
#include "dataplane/onion/relay_snapshot.hpp"
#include "dataplane/onion/setup_limiter.hpp"
#include "dataplane/onion/verdict.hpp"

namespace allium::control_port {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kMessageBytesMax = 65536;
inline constexpr std::size_t kPeersPerChunkMax = 128;
inline constexpr std::size_t kDeliveriesPerMessageMax = 16;

/// Controller: which protocol it speaks. First message.
struct Hello {
  std::uint16_t version = kProtocolVersion;
};

/// Dataplane: the answer to Hello.
struct Welcome {
  std::uint16_t version = kProtocolVersion;
  std::uint32_t pid = 0;
  std::uint16_t worker_count = 0;
  std::string device;   ///< e.g. "net_af_packet0"
  std::string kernels;  ///< e.g. "onion=ipsec-mb,x25519=libsodium"
};

/// Controller, once a connection, with two file descriptors attached (SCM_RIGHTS): the memfd of the
/// replay set and that of the handle table, in this order. They must be sealed against shrinking and
/// of exactly the sizes that the numbers here give. All-zero memory is new.
struct Configure {
  std::uint64_t replay_lines = 0;  ///< of a generation, a power of two
  std::uint32_t handles_max = 0;
  std::uint32_t handles_per_host = 0;
  std::uint32_t handles_per_site = 0;
  /// The floor for a *new* replay memfd: 0 on a first start with all keys fresh; slot of the clock + 2
  /// where a set was lost (SPEC.md section 3).
  std::uint64_t slot_floor_if_new = 0;
  std::uint64_t first_handle_if_new = 1;
};

/// Sequence numbers of links that this start of the dataplane may use in an epoch: [first, end).
struct SequenceRange {
  std::uint64_t epoch = 0;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

/// Controller: begins a snapshot.
struct SnapshotBegin {
  std::uint64_t serial = 0;  ///< rises with every snapshot
  std::uint32_t own_id = 0;
  onion::Endpoint own_endpoint;
  bool cookie_required = true;
  onion::SetupLimits setup_limits;
  std::uint16_t salt_alloc_first =
      0;  ///< 12 bits: worker i uses salt_alloc_first + i in every epoch;
          ///< fresh for every start of the dataplane
  std::vector<SequenceRange> sequences;
  std::vector<onion::EpochSecrets> epochs;
  std::vector<onion::HourKey> hours;
  std::uint32_t peer_count = 0;  ///< the sum of the chunks to come
};

struct SnapshotPeers {
  std::uint64_t serial = 0;
  std::vector<onion::PeerConfig> peers;  ///< at most kPeersPerChunkMax
};

struct SnapshotCommit {
  std::uint64_t serial = 0;
};

/// Dataplane: configure or snapshot taken into use.
struct Accepted {
  std::uint64_t serial = 0;           ///< 0 for Configure
  std::uint64_t accepts_from_ms = 0;  ///< packets are accepted from then on (slot floor)
};

/// Dataplane: configure or snapshot refused, nothing changed.
struct Refused {
  std::uint64_t serial = 0;
  std::string reason;
};

/// Controller: send your counters.
struct CountersRequest {};

/// Dataplane. received = forwarded + delivered + sum(drops) + parked;  sent = forwarded + answers +
/// challenges. `by_type[t][v]`: packets received of wire type t (0 = the type is not known yet) that
/// ended in verdict v.
struct Counters {
  std::uint64_t at_ms = 0;
  std::uint64_t uptime_ms = 0;
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t forwarded = 0;
  std::uint64_t delivered = 0;
  std::uint64_t answers = 0;
  std::uint64_t challenges = 0;
  std::uint64_t parked = 0;  ///< a gauge: waiting for a delay or for a neighbour's address
  std::uint64_t not_onion =
      0;  ///< frames of the port that were not for this relay; not in `received`
  std::array<std::uint64_t, onion::kVerdictCount> verdicts{};  ///< drops by reason
  std::array<std::array<std::uint64_t, onion::kVerdictCount>, 8> by_type{};
};

/// Dataplane: datagrams for service 1, STORAGE.
struct DeliveryRecord {
  onion::PacketType type{};
  std::array<std::uint8_t, 16> t{};
  std::vector<std::uint8_t> data;            ///< X_R, unread
  std::vector<std::uint8_t> sealed_context;  ///< S only: to be handed back in ReturnReply
};

struct Deliveries {
  std::uint64_t lost = 0;  ///< since start, for want of room; those packets ended in `rate`
  std::vector<DeliveryRecord> records;
};

/// Controller: an answer over a return context (R), or over a reply block (DB, VB).
struct ReturnReply {
  std::vector<std::uint8_t> sealed_context;
  std::uint64_t seq = 0;
  std::vector<std::uint8_t> data;
};

struct BlockReply {
  onion::PacketClass packet_class{};
  std::vector<std::uint8_t> reply_block;
  std::uint64_t seq = 0;
  std::vector<std::uint8_t> data;
};

/// Controller: end cleanly (as SIGTERM).
struct Shutdown {};

using Message =
    std::variant<Hello, Welcome, Configure, SnapshotBegin, SnapshotPeers, SnapshotCommit, Accepted,
                 Refused, CountersRequest, Counters, Deliveries, ReturnReply, BlockReply, Shutdown>;

/// The bytes of a message. ALLIUM_CHECKs the limits above: they are the caller's to keep.
[[nodiscard]] std::vector<std::uint8_t> encode(const Message& message);

/// The message of one datagram of the socket. Fails with Errc::malformed; never reads beyond `bytes`.
[[nodiscard]] Result<Message> decode(Bytes bytes);

}  // namespace allium::control_port
