// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets as a relay in the middle of a path gets them from another relay, and the keys of the three relays that they
// concern:
//
//   previous --(link header, tag, veil)--> relay under test --> next, where every path ends at DROP
//
// Data packets belong to many sessions. Segments and secrets are made from the relays' epoch keys as the relays make
// them when a path is opened (SPEC.md sections 5 and 6); the packets are those of the client's path builder. Setup packets
// (S0) come from a client through the previous relay, each with a key of its own. The links are derived from the onion
// keys by both ends.
//
//   Units      packets and bytes; one moment in time for all packets.
//   Ownership  values; keys are wiped with the object.
//   Threads    one.
//   Limits     data packet i belongs to session i mod session_count and is new in it, so a burst holds as many
//              sessions as it can.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/engine/frame.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "dataplane/onion/wire_format.hpp"
#include "tools/bench/bare_relay.hpp"

namespace allium::bench {

struct TrafficConfig {
  onion::PacketClass packet_class = onion::PacketClass::d;  ///< d, v or s0
  std::size_t session_count = 4096;                         ///< at least 1; S0 has none
  bool is_v6 = false;                                       ///< addresses of the relays
};

/// A file of frames, and how many percent of its packets carry a wrong link tag.
struct FrameFile {
  std::string path;
  unsigned bad_tag_percent = 0;
};

/// Whether packet `index` is one of those, which lie evenly among the others.
[[nodiscard]] constexpr bool has_bad_tag(std::uint64_t index, unsigned percent) noexcept {
  return index * percent / 100 != (index + 1) * percent / 100;
}

/// Of packets 0 .. packet_count - 1.
[[nodiscard]] constexpr std::uint64_t bad_tag_count(std::uint64_t packet_count,
                                                    unsigned percent) noexcept {
  return packet_count * percent / 100;
}

class Traffic {
 public:
  Traffic(const TrafficConfig& config, const Random& random);
  ~Traffic();
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

  /// In the middle of a slot and of an epoch.
  static constexpr std::uint64_t kNowMs = 1'800'008'436'000;

  /// The relay under test, as a port's owner.
  [[nodiscard]] dataplane::PortIdentity identity() const;

  /// A snapshot of the relay under test whose replay key is fresh: under it no packet was ever seen. Its limits of setup
  /// packets are never reached. `serial` is its number.
  [[nodiscard]] control_port::SnapshotBegin snapshot(std::uint64_t serial,
                                                     const Random& random) const;

  /// The neighbours of the relay under test.
  [[nodiscard]] std::vector<onion::PeerConfig> peers() const;

  /// The relay that the packets go to, as a port's owner, and all that it knows.
  [[nodiscard]] dataplane::PortIdentity next_identity() const;
  [[nodiscard]] onion::SnapshotConfig next_snapshot() const;

  /// Packet `index` as it comes over the link. Its T and its data carry the index, for the next relay to find.
  [[nodiscard]] onion::Datagram make_datagram(std::uint64_t index, const Random& random) const;

  /// The index in the T and the data of a packet that arrived at DROP. They differ: not a packet of ours.
  [[nodiscard]] static Result<std::uint64_t> index_of(const std::uint8_t* t,
                                                      const std::uint8_t* data);

  /// Writes packets 0 .. packet_count - 1 as Ethernet frames, the same packets to every file but for wrong tags. Errc::io.
  Result<void> write_frames(std::span<const FrameFile> files, std::size_t packet_count,
                            const Random& random) const;

  /// Of a frame.
  [[nodiscard]] std::size_t headers_bytes() const noexcept {
    return dataplane::headers_bytes(!config_.is_v6);
  }

  [[nodiscard]] std::size_t datagram_bytes() const noexcept;

 private:
  enum Place : std::size_t { kPrevious, kTested, kNext, kPlaces };

  /// A relay with its keys.
  struct Node {
    std::uint32_t id = 0;
    onion::Endpoint endpoint;
    dataplane::MacAddress mac{};
    onion::EpochSecrets epoch;
    onion::HourKey hour;
  };

  static constexpr std::size_t kHops = 2;  ///< relay under test, next

  [[nodiscard]] onion::LinkSecrets link(Place own, Place peer) const;
  [[nodiscard]] onion::PeerConfig peer(Place own, Place peer) const;
  [[nodiscard]] onion::HopSession open_session(Place place, const onion::NextHop& next,
                                               std::uint64_t salt) const;
  [[nodiscard]] onion::SnapshotConfig neighbour_snapshot(Place own) const;
  [[nodiscard]] onion::Datagram make_setup(std::uint64_t index, const Random& random) const;
  void put_link(std::uint64_t seq, onion::Datagram& datagram) const;

  TrafficConfig config_;
  std::array<Node, kPlaces> nodes_;
  onion::LinkSecrets link_in_;           ///< to the relay under test, as the previous one has it
  std::unique_ptr<BareRelay> previous_;  ///< that S0 comes through
  std::vector<std::array<onion::HopSession, kHops>> sessions_;
};

}  // namespace allium::bench
