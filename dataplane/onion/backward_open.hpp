// SPDX-License-Identifier: Apache-2.0
#pragma once

// Opens what comes back to a client: DB, VB and R packets (SPEC.md section 8, "Client").
//
// Each hop's layer is under the stamp of the hop behind it, which is unknown but within one slot of the
// hop's own: a depth-first search of at most 3^(n-1) choices, decided by 64 zero bits. Nothing of the
// data is seen by the caller before those bits are checked.
//
//   Units      now_ms is Unix time in milliseconds, with the phase of the path already added.
//   Ownership  the answer owns its data; what was undone and not accepted is wiped.
//   Errors     BackwardRefusal. Such a packet is ignored: never a reason to leave a path by itself.
//   Threads    reentrant.
//   Timing     constant in secrets but for the number of stamps tried, which are the nodes' clocks.
//   Cost       nearly always one layer a hop.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <tl/expected.hpp>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/secret.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {

enum class BackwardRefusal : std::uint8_t {
  malformed,   ///< not a backward packet of that class: version, type or length
  slot,        ///< the stamp is not near the client's clock
  client_tag,  ///< not from the entry of this path, or changed on the last link
  zero,        ///< garbage from inside the path
};

/// "malformed", "slot", "client_tag", "zero".
[[nodiscard]] std::string_view backward_refusal_name(BackwardRefusal refusal) noexcept;

struct BackwardPacket {
  std::uint64_t seq = 0;
  std::size_t data_bytes = 0;  ///< |X_R| of the type
  std::array<std::uint8_t, 1072> data{};
  std::size_t hop_count = 0;
  std::array<std::uint64_t, kHopsMax> slot{};  ///< of each hop's layer, entry first

  [[nodiscard]] Bytes view() const noexcept { return Bytes(data).first(data_bytes); }
};

/// What a datagram to a client says of itself before any key is touched.
struct BackwardEnvelope {
  PacketType type = PacketType::db;
  /// DB, VB: CT of the reply block; R: the stack tag; C: the mark of the S packet in its first 12 bytes.
  Block look_up{};
};

/// Nullopt: not a DB, VB, R or C packet of version 1 with the right length. Any bytes may come in.
[[nodiscard]] std::optional<BackwardEnvelope> read_backward_envelope(Bytes datagram) noexcept;

/// The cookie inside a C packet. Requires that read_backward_envelope said type c.
[[nodiscard]] std::array<std::uint8_t, kLastBytes> challenge_cookie(Bytes datagram) noexcept;

/// `packet_class` d, v or r. `secrets` are entry first: s of each hop, or k_ret of each for R.
/// Requires 1 <= secrets.size() <= kHopsMax.
[[nodiscard]] tl::expected<BackwardPacket, BackwardRefusal> open_backward(
    PacketClass packet_class, std::uint64_t now_ms, std::span<const Secret<16>* const> secrets,
    Bytes datagram) noexcept;

}  // namespace allium::onion
