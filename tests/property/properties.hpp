// SPDX-License-Identifier: Apache-2.0
#pragma once

// The security properties of SPEC.md section 12.2, each as a function that measures it on a world and
// reports what did not hold. Tests expect nothing; canaries (a Flaw in the options) expect something.
// Relay 0 and the terminal are the attacker's; relay 1, between them, is the one that is measured.
//
//   Errors     in the report. A set-up that does not work is no property that holds.
//   Threads    reentrant.

#include <cstdint>

#include "tests/property/onion_world.hpp"
#include "tests/property/report.hpp"

namespace allium::property {

/// Who changes a packet on the link to the relay under test.
enum class Attacker : std::uint8_t {
  outsider,  ///< anybody on the wire
  peer,      ///< the relay at its other end, who seals what he changed
};

// tagging.cpp

/// Every `stride`-th bit of a forward packet is changed on a link, and the next relay drops it; the packet
/// itself still goes on afterwards. S0, S1: outside RSTACK and REC. On the client's link: outside what
/// relays ignore there.
[[nodiscard]] Report forward_flips(const WorldOptions& options, onion::PacketType type,
                                   Attacker attacker, std::size_t stride);
[[nodiscard]] Report forward_flips_at_entry(const WorldOptions& options, onion::PacketType type,
                                            std::size_t stride);

/// Every `stride`-th bit of T and X_R of a DB, VB or R packet is changed by a peer: what the next relay sends is
/// another packet altogether (`mean`: which part of the bits changed), and the client refuses it as `zero`. In
/// HR of D and V it is dropped.
[[nodiscard]] Report backward_flips(const WorldOptions& options, onion::PacketType type,
                                    std::size_t stride);

// marks.cpp

/// No eight bytes that a peer puts into RSTACK, REC or the filler of R are found again behind the relay; and a
/// path whose record was touched is refused.
[[nodiscard]] Report marks_in_setup(const WorldOptions& options, std::size_t rounds);
[[nodiscard]] Report marks_in_return(const WorldOptions& options, std::size_t rounds);

// linking.cpp

/// No 16 bytes of a packet before a relay are found behind it, nor 16 bytes of the XOR of two packets of a path.
/// All types but C.
[[nodiscard]] Report linking(const WorldOptions& options, std::size_t rounds);

/// Two packets of one path with one T but for a bit share nothing at a hop but FS: spare blocks are fresh.
[[nodiscard]] Report fresh_spare(const WorldOptions& options, std::size_t rounds);

// position.cpp

/// Every bit of a header that a hop sees is a coin's throw, whichever hop of however many it is: over `sessions`
/// paths of each length, in both directions, and over setup packets. `mean`: the widest deviation, in standard
/// deviations.
[[nodiscard]] Report position_data(const WorldOptions& options, std::size_t sessions);
[[nodiscard]] Report position_setup(const WorldOptions& options, std::size_t sessions);

// replay.cpp

/// One datagram and where it was captured.
struct Capture {
  std::size_t from = kClient;
  std::size_t to = kRelayUnderTest;
  onion::Endpoint source;
  Buffer datagram;
};

/// What happens to the relay between two copies of a packet.
enum class Between : std::uint8_t {
  nothing,
  other_worker,
  same_burst,
  epoch_change,
  crash,
  clock_steps
};

/// Packets of every type are captured before the relay, and each is accepted at most once, whatever lies between the
/// copies.
[[nodiscard]] Report replays(const WorldOptions& options, Between between, std::size_t rounds);

/// Copies of one capture with another X_R, which no link tag covers: one of all is accepted at most.
[[nodiscard]] Report one_capture_one_use(const WorldOptions& options, std::size_t copies);

// last_link.cpp

/// What an outsider sends to a client - changed, mixed, made up - is neither accepted nor counted as garbage from
/// inside the path; the true packets are accepted.
[[nodiscard]] Report spoofing_at_last_link(const WorldOptions& options, std::size_t rounds);

// stamps.cpp

/// Forward every relay sends the slot that came in, backward its own; with clocks within 2 s every packet opens.
[[nodiscard]] Report stamps(const WorldOptions& options, std::size_t rounds);

// key_streams.cpp

/// D and V packets with one T in one session: their X_R are under different streams.
[[nodiscard]] Report key_streams(const WorldOptions& options, std::size_t rounds);

// addresses.cpp

/// V4 and HANDLE, and types that do not exist, are no forward hop.
[[nodiscard]] Report forward_addresses(const WorldOptions& options);

/// Clients over IPv6: their answers arrive by handle while it lives, never at another client.
[[nodiscard]] Report handles(const WorldOptions& options);

/// A cookie opens the door for the address and port that asked, in its epoch and the next; nobody else's S costs
/// the relay an X25519. Requires options.cookie_required.
[[nodiscard]] Report cookies(const WorldOptions& options, std::size_t clients);

/// Peers and strangers without the link's key get nothing through: wrong tag, unknown key id, or types that clients
/// may not send.
[[nodiscard]] Report link_forgeries(const WorldOptions& options, std::size_t rounds);

}  // namespace allium::property
