// SPDX-License-Identifier: Apache-2.0
#pragma once

// Valid layered packets of many sessions, as a middle relay gets them from another: link header, tag and veil
// on, a layer of this relay inside, everything else noise. And the relay's keys that open them.
//
//   Units      packets and bytes; one moment in time for all packets.
//   Ownership  values.
//   Threads    one.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/engine/frame.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::bench {

struct TrafficConfig {
  onion::PacketClass packet_class = onion::PacketClass::d;
  std::size_t session_count = 4096;
  std::size_t packet_count = 0;  ///< a multiple of 32
};

class Traffic {
 public:
  Traffic(const TrafficConfig& config, const Random& random);

  /// In the middle of a slot and of an epoch.
  static constexpr std::uint64_t kNowMs = 1'800'008'436'000;

  /// The relay under test, as a port's owner.
  [[nodiscard]] dataplane::PortIdentity identity() const;

  /// A snapshot whose replay key is fresh: under it no packet was ever seen. `serial` is its number.
  [[nodiscard]] control_port::SnapshotBegin snapshot(std::uint64_t serial,
                                                     const Random& random) const;

  /// The relay before and the relay after.
  [[nodiscard]] std::vector<onion::PeerConfig> peers() const;

  /// Writes all packets as Ethernet frames. Errc::io.
  Result<void> write_pcap(const std::string& path, const Random& random) const;

  [[nodiscard]] std::size_t datagram_bytes() const noexcept;

 private:
  struct Session {
    Block segment;  ///< FS
    Block secret;   ///< s
  };

  void make_datagram(const Session& session, std::uint64_t seq, const Random& random,
                     std::uint8_t* target) const;

  TrafficConfig config_;
  onion::EpochSecrets epoch_;
  onion::LinkSecrets link_in_;
  onion::LinkSecrets link_out_;
  std::vector<Session> sessions_;
};

}  // namespace allium::bench
