// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ethernet, IPv4, IPv6 and UDP around an onion datagram: which frames are ours, and the headers of
// what we send. Knows no DPDK.
//
//   Units      bytes; ports in host order.
//   Errors     a frame that is not for this relay's MAC, address and onion port, or breaks its own
//              headers, is not ours: parse says nothing more.
//   Limits     no VLAN tags, no fragments, no IPv6 extension headers, no source that cannot be answered
//              (port 0, multicast, loopback): onion senders have no use for them. Received UDP checksums are not looked at: veth pairs leave them unfinished, and
//              every packet carries MACs of its own.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::dataplane {

using MacAddress = std::array<std::uint8_t, 6>;

inline constexpr std::size_t kEthernetBytes = 14;
inline constexpr std::size_t kUdpBytes = 8;
inline constexpr std::size_t kHeadersBytesV4 = kEthernetBytes + 20 + kUdpBytes;
inline constexpr std::size_t kHeadersBytesV6 = kEthernetBytes + 40 + kUdpBytes;

/// Who this relay is on one port.
struct PortIdentity {
  MacAddress mac{};
  std::vector<std::array<std::uint8_t, 16>> addresses;  ///< own addresses, IPv4 as mapped
  std::uint16_t onion_port = 0;
};

/// The datagram inside a frame of ours.
struct ParsedFrame {
  std::size_t payload_offset;
  std::size_t payload_bytes;
  onion::Endpoint source;
};

/// False where the frame is not a UDP datagram to `identity`; `parsed` is anything then.
[[nodiscard]] bool parse_frame(Bytes frame, const PortIdentity& identity,
                               ParsedFrame& parsed) noexcept;

[[nodiscard]] inline std::optional<ParsedFrame> parse_frame(Bytes frame,
                                                            const PortIdentity& identity) noexcept {
  ParsedFrame parsed{};
  return parse_frame(frame, identity, parsed) ? std::optional(parsed) : std::nullopt;
}

struct FrameAddresses {
  MacAddress source_mac;
  MacAddress target_mac;
  onion::Endpoint source;  ///< of the same family as `target`
  onion::Endpoint target;
};

/// Bytes of the headers in front of a datagram to `target`.
[[nodiscard]] constexpr std::size_t headers_bytes(bool is_v4) noexcept {
  return is_v4 ? kHeadersBytesV4 : kHeadersBytesV6;
}

/// The same, where they stand.
struct FramePlaces {
  const MacAddress& source_mac;
  const MacAddress& target_mac;
  const std::array<std::uint8_t, 16>& source_address;  ///< of the same family as the target's
  const std::array<std::uint8_t, 16>& target_address;
  std::uint16_t source_port;
  std::uint16_t target_port;
};

/// Writes all headers, checksums included, so that they end where `payload` begins; their bytes. Requires
/// headers_bytes() of room in front of it.
std::size_t write_headers(const FramePlaces& places, std::uint8_t* payload,
                          std::size_t payload_bytes) noexcept;

inline std::size_t write_headers(const FrameAddresses& addresses, std::uint8_t* payload,
                                 std::size_t payload_bytes) noexcept {
  return write_headers({addresses.source_mac, addresses.target_mac, addresses.source.address,
                        addresses.target.address, addresses.source.port, addresses.target.port},
                       payload, payload_bytes);
}

}  // namespace allium::dataplane
