// SPDX-License-Identifier: Apache-2.0
#pragma once

// Builds what a client sends: setup and one-shot packets, data packets, reply blocks (SPEC.md
// sections 8 and 10). The client undoes the layers that the relays will put on.
//
//   Units      sizes are bytes of UDP payload; slot and hour are absolute (section 3).
//   Ownership  nothing is kept between calls; secrets that are not returned are wiped.
//   Errors     Errc::out_of_range: no hop, more hops than the class has header blocks, data longer
//              than X_R, a type that clients do not build. Errc::malformed: an onion key of low order.
//   Threads    reentrant; `random` is drawn from in the order of section 15.
//   Timing     constant in secrets and data.
//
// The caller keeps three promises that no packet can keep by itself: (flow, seq) at most once in a
// session and class, one reply block a session and class, and one setup packet an eph (section 13).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "crypto_accel/x25519_batch.hpp"
#include "dataplane/onion/path_record.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

/// A datagram of any type, by value.
struct Datagram {
  std::array<std::uint8_t, kDatagramBytesMax> bytes{};
  std::size_t byte_count = 0;

  [[nodiscard]] Bytes view() const noexcept { return Bytes(bytes).first(byte_count); }
};

/// `next` of a forward hop (section 6): another relay, or the service where the path ends.
struct NextHop {
  NextType type = NextType::service;
  std::array<std::uint8_t, 6> next{};

  static NextHop to_relay(std::uint32_t relay_id) noexcept;
  static NextHop to_service(Service service) noexcept;
};

/// One hop as the client finds it in the network document.
struct SetupHop {
  crypto_accel::PublicKey onion_key{};  ///< X_h of the hour that the packet states
  NextHop next;
  std::uint8_t delay_10ms = 0;
};

using Cookie = std::array<std::uint8_t, kLastBytes>;

struct SetupRequest {
  PacketType type = PacketType::s1;  ///< s0 or s1
  std::uint64_t slot = 0;
  std::uint64_t hour = 0;          ///< of every hop's onion key
  std::span<const SetupHop> hops;  ///< entry first, 1 to kHopsMax; the last one's next is a service
  Block t{};                       ///< T as the terminal sees it
  Bytes data;                      ///< X_R, zero-padded
  Cookie cookie{};                 ///< of the entry; zero where none is known
};

/// A built S packet and what opens its answers.
struct SetupPacket {
  Datagram datagram;
  std::size_t hop_count = 0;
  std::array<SetupHopKeys, kHopsMax> hop;
  Record record{};  ///< REC_0; S1
  Block
      stack_tag{};  ///< the first 16 bytes of RSTACK of every R that answers this packet (section 11)

  [[nodiscard]] std::span<const SetupHopKeys> hops() const noexcept {
    return std::span<const SetupHopKeys>(hop).first(hop_count);
  }

  /// The first 12 bytes of γ: what a cookie challenge repeats in its last12 (section 4).
  [[nodiscard]] Cookie challenge_mark() const noexcept;
};

[[nodiscard]] Result<SetupPacket> build_setup(const SetupRequest& request, const Random& random);

/// Puts a cookie into a built S packet; nothing else of the packet depends on it.
/// Requires datagram.size() == kLargeBytes.
void put_cookie(MutableBytes datagram, const Cookie& cookie) noexcept;

/// T of a data packet: flow ‖ seq.
[[nodiscard]] Block flow_and_seq(std::uint64_t flow, std::uint64_t seq) noexcept;

/// A DF or VF packet. `path` is entry first, at most header_blocks(packet_class) hops.
/// Requires packet_class d or v.
[[nodiscard]] Result<Datagram> build_data(PacketClass packet_class, std::uint64_t slot,
                                          std::span<const HopSession> path, const Block& t,
                                          Bytes data, const Random& random);

/// A reply block and how its packets will be known when they arrive.
struct ReplyBlock {
  std::array<std::uint8_t, kReplyBlockBytesD> bytes{};
  std::size_t byte_count = 0;                                        ///< reply_block_bytes(class)
  std::array<std::uint8_t, kHeaderBlockBytes * kBlocksD> arrives{};  ///< AHDR at the client
  std::size_t arrives_bytes = 0;
  Block session_tag{};  ///< CT: the first 16 bytes of `arrives`, the client's look-up key

  [[nodiscard]] Bytes view() const noexcept { return Bytes(bytes).first(byte_count); }

  [[nodiscard]] Bytes arrives_view() const noexcept { return Bytes(arrives).first(arrives_bytes); }
};

/// At most one a session and class. Requires packet_class d or v.
[[nodiscard]] Result<ReplyBlock> build_reply_block(PacketClass packet_class,
                                                   std::span<const HopSession> path,
                                                   const Random& random);

}  // namespace allium::onion
