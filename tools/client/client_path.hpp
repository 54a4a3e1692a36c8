// SPDX-License-Identifier: Apache-2.0
#pragma once

// An open path whose terminal service is ECHO: builds D and V packets for it and opens what comes back
// (SPEC.md section 8).
//
//   Units      Unix milliseconds.
//   Ownership  owns the session; wiped with it.
//   Errors     send: what build_data says. open: nullopt, and one of the counters goes up; such a packet
//              is never a reason to leave the path.
//   Threads    one.
//   Limits     one flow and one reply block a class; seq rises by one with every packet and is never used
//              twice. Answers are accepted within 1024 numbers (class and bit 63 each).

#include <array>
#include <cstdint>
#include <optional>

#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"
#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_builder.hpp"
#include "tools/client/network_view.hpp"
#include "tools/client/seq_window.hpp"

namespace allium::client {

/// What came to us and was not used.
struct IgnoredCounts {
  std::uint64_t unknown = 0;  ///< no session or request of ours, or not an onion packet
  std::uint64_t slot = 0;
  std::uint64_t client_tag = 0;
  std::uint64_t zero = 0;
  std::uint64_t repeated = 0;  ///< a seq that has come already
};

/// When a path opened by an S packet sent at `sent_unix_ms` is not usable any more (section 3).
[[nodiscard]] std::uint64_t path_end_ms(std::uint64_t sent_unix_ms) noexcept;

/// When to open the next one: by chance between 50 % and 80 % of its life.
[[nodiscard]] std::uint64_t path_renewal_ms(std::uint64_t sent_unix_ms, const Random& random);

/// A random phase for a path's clock, within kPhaseMsMax either way.
inline constexpr std::int64_t kPhaseMsMax = 1500;
[[nodiscard]] std::int64_t random_phase_ms(const Random& random);

class ClientPath {
 public:
  ClientPath(PathPlan plan, onion::PathSession session, std::int64_t phase_ms,
             std::uint64_t sent_unix_ms, const Random& random);

  [[nodiscard]] const PathPlan& plan() const noexcept { return plan_; }

  [[nodiscard]] const onion::Endpoint& entry() const noexcept { return plan_.front().endpoint; }

  [[nodiscard]] std::uint64_t end_ms() const noexcept { return end_ms_; }

  [[nodiscard]] std::uint64_t renewal_ms() const noexcept { return renewal_ms_; }

  /// Bytes that fit behind the reply block of a class.
  [[nodiscard]] static std::size_t payload_bytes(onion::PacketClass packet_class) noexcept;

  struct Sent {
    std::uint64_t seq;
    onion::Datagram datagram;
  };

  /// A packet with the path's reply block and `payload` in it. Requires class d or v.
  [[nodiscard]] Result<Sent> build(onion::PacketClass packet_class, Bytes payload,
                                   std::uint64_t unix_ms);

  struct Received {
    onion::PacketClass packet_class;
    onion::BackwardPacket packet;

    /// What lay behind the reply block.
    [[nodiscard]] Bytes payload() const noexcept {
      return packet.view().subspan(onion::reply_block_bytes(packet_class));
    }
  };

  /// True where the packet is addressed to this path.
  [[nodiscard]] bool owns(const onion::BackwardEnvelope& envelope) const noexcept;

  /// Requires owns(envelope of datagram).
  [[nodiscard]] std::optional<Received> open(Bytes datagram, std::uint64_t unix_ms,
                                             IgnoredCounts& ignored);

 private:
  struct ClassState {
    std::optional<onion::ReplyBlock> reply_block;
    std::uint64_t next_seq = 1;
    std::array<SeqWindow, 2> window;  ///< by bit 63
  };

  [[nodiscard]] ClassState& state_of(onion::PacketClass packet_class) noexcept {
    return class_state_[packet_class == onion::PacketClass::v ? 1 : 0];
  }

  PathPlan plan_;
  onion::PathSession session_;
  std::int64_t phase_ms_;
  std::uint64_t end_ms_;
  std::uint64_t renewal_ms_;
  std::uint64_t flow_ = 0;
  Random random_;
  std::array<ClassState, 2> class_state_;
};

}  // namespace allium::client
