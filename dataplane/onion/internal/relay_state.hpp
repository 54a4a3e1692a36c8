// SPDX-License-Identifier: Apache-2.0
#pragma once

// The inside of a Relay: its kernel object and the scratch of the burst in work, laid out by field. The
// steps of SPEC.md section 9 are its functions, one file a kind of packet.
//
//   Ownership  scratch is overwritten by every burst; secrets in it are wiped at the end of process().
//   Threads    one.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "dataplane/onion/internal/lanes.hpp"
#include "dataplane/onion/internal/segment.hpp"
#include "dataplane/onion/relay.hpp"
#include "dataplane/onion/time_index.hpp"

namespace allium::onion {

/// What all steps of a call work on.
struct RelayTurn {
  RelayTurn(const RelaySnapshot& the_snapshot, Burst& the_burst, std::uint64_t the_now_ms) noexcept
      : snapshot(the_snapshot),
        burst(the_burst),
        now_ms(the_now_ms),
        slot(slot_of(the_now_ms)),
        epoch(epoch_of(the_now_ms)) {}

  const RelaySnapshot& snapshot;
  Burst& burst;
  std::uint64_t now_ms;
  std::uint64_t slot;
  std::uint64_t epoch;

  void drop(std::size_t lane, Verdict reason) const noexcept { burst.verdict[lane] = reason; }
};

/// The epochs whose links are good at a moment: one, near its ends two.
struct AcceptedEpochs {
  explicit AcceptedEpochs(std::uint64_t now_ms) noexcept;

  /// By the low byte.
  [[nodiscard]] std::optional<std::uint64_t> named_by(std::uint8_t key_id) const noexcept {
    if (static_cast<std::uint8_t>(now) == key_id) {
      return now;
    }
    return static_cast<std::uint8_t>(other) == key_id ? std::optional(other) : std::nullopt;
  }

  std::uint64_t now;
  std::uint64_t other;  ///< the same where there is no other
};

/// A backward packet that is about to start here: everything but its seq and its X_R.
struct Origin {
  PacketType type = PacketType::r;
  Block secret{};  ///< s of the layer: of the session, or k_ret
  std::array<std::uint8_t, kReturnStackBytes> header{};
  Target target;
};

struct Relay::State {
  explicit State(const RelayParts& relay_parts) : parts(relay_parts), batch(*parts.kernels.onion) {}

  ~State() { wipe_scratch(); }

  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // relay_admit.cpp: steps 1 to 7.
  void classify(const RelayTurn& turn, const AcceptedEpochs& epochs, std::size_t lane) noexcept;
  /// Pending lanes with a link.
  [[nodiscard]] LaneMask from_relays(const Burst& burst) const noexcept;
  void check_links(const RelayTurn& turn) noexcept;
  void check_slots(const RelayTurn& turn) noexcept;
  void unveil(const RelayTurn& turn) noexcept;
  void check_cookies(const RelayTurn& turn) noexcept;
  void limit_setups(const RelayTurn& turn) noexcept;

  // relay_data.cpp: D and V. relay_setup.cpp: S. relay_return.cpp: R. Step 8, then step 10.
  void open_data(const RelayTurn& turn) noexcept;
  void open_setups(const RelayTurn& turn) noexcept;
  void open_returns(const RelayTurn& turn) noexcept;
  void shift_headers(const RelayTurn& turn, PacketType type, LaneMask lanes) noexcept;
  void finish_data(const RelayTurn& turn, std::size_t lane) noexcept;
  void finish_setup(const RelayTurn& turn, std::size_t lane) noexcept;
  void finish_return(const RelayTurn& turn, std::size_t lane) noexcept;

  // relay_terminal.cpp: step 11. `context` for S, `record` (REC') for S1, else null.
  void terminate(const RelayTurn& turn, std::size_t lane, const ReturnContext* context,
                 const std::uint8_t* record) noexcept;

  // relay_answer.cpp: backward packets that start here. `prepare_*` change nothing but draw what the
  // header needs: pending, or why there can be no answer.
  [[nodiscard]] Verdict prepare_return(const RelayTurn& turn, const ReturnContext& context,
                                       Origin& origin) noexcept;
  [[nodiscard]] Verdict prepare_block(const RelayTurn& turn, PacketClass packet_class,
                                      const std::uint8_t* reply_block, Origin& origin) noexcept;
  /// Requires X_R of origin.type in its place in the lane's datagram.
  void originate(const RelayTurn& turn, std::size_t lane, const Origin& origin,
                 std::uint64_t seq) noexcept;

  // relay.cpp: what all packets have in common.
  void look_ahead_replay(const RelayTurn& turn, LaneMask lanes) noexcept;
  [[nodiscard]] LaneMask check_replay(const RelayTurn& turn, LaneMask lanes) noexcept;
  void encrypt_right(const RelayTurn& turn) noexcept;
  /// Step 12: pending and the target, or no_route or handle.
  [[nodiscard]] Verdict route(const RelayTurn& turn, const internal::Next& hop,
                              Target& target) const noexcept;
  /// Step 12 for the packet of a lane; it goes on if it can.
  void send_on(const RelayTurn& turn, std::size_t lane, const internal::Next& hop) noexcept;
  void tag_clients(const RelayTurn& turn) noexcept;
  void wipe_scratch() noexcept;

  /// The layer's left half under `secret`, for lanes of one type.
  void encrypt_left(const RelayTurn& turn, PacketType type, LaneMask lanes) noexcept;
  void write_contexts(const RelayTurn& turn, const TypeInfo& info, LaneMask lanes) noexcept;
  /// The lanes of one type whose layer opens under `secret`, by their header MAC.
  [[nodiscard]] LaneMask open_data_layer(const RelayTurn& turn, PacketType type,
                                         LaneMask lanes) noexcept;
  void write_mac_messages(const RelayTurn& turn, const TypeInfo& info, LaneMask lanes) noexcept;
  [[nodiscard]] LaneMask cipher_in_waves(const RelayTurn& turn, PacketType type,
                                         LaneMask lanes) noexcept;
  /// The lanes whose MAC over message[lane] is the one at `mac_offset` of the datagram.
  [[nodiscard]] LaneMask check_macs(const RelayTurn& turn, LaneMask lanes,
                                    std::size_t message_bytes, std::size_t mac_offset) noexcept;
  /// The same for MACs that are there already.
  [[nodiscard]] LaneMask genuine(const RelayTurn& turn, LaneMask lanes,
                                 std::size_t mac_offset) noexcept;

  [[nodiscard]] LaneMask open_segments(const RelayTurn& turn, LaneMask lanes, std::uint64_t age,
                                       Lanes<Verdict>& verdict) noexcept;

  // relay_setup.cpp
  void agree_on_keys(const RelayTurn& turn, const HourKey& hour, LaneMask lanes) noexcept;
  void read_routing(const RelayTurn& turn, std::size_t lane) noexcept;
  [[nodiscard]] Verdict previous_hop(const RelayTurn& turn, std::size_t lane,
                                     internal::Next& previous) noexcept;
  [[nodiscard]] Verdict add_record(const RelayTurn& turn, std::size_t lane,
                                   const internal::Next& previous, std::uint8_t* record) noexcept;
  void push_return_block(const RelayTurn& turn, std::size_t lane,
                         const internal::Next& previous) noexcept;

  // relay_terminal.cpp
  [[nodiscard]] bool deliver(const RelayTurn& turn, std::size_t lane, Service service,
                             const ReturnContext* context) noexcept;
  void answer_setup(const RelayTurn& turn, std::size_t lane, Service service,
                    const ReturnContext& context, const std::uint8_t* record) noexcept;
  void echo_data(const RelayTurn& turn, std::size_t lane) noexcept;
  void bridge_packet(const RelayTurn& turn, std::size_t lane,
                     const ReturnContext* context) noexcept;
  void bridge_data(const RelayTurn& turn, std::size_t lane, std::uint64_t cookie) noexcept;
  void bridge_control(const RelayTurn& turn, std::size_t lane) noexcept;

  static constexpr std::size_t kMacMessageBytesMax =
      272;  // S: ctx 16, eph 32, rt 16, rest 192, X_L' 16

  /// What a setup packet said.
  struct Setup {
    Block k_hdr;
    Block k_ret;
    Block k_rec;
    std::uint8_t depth;
    std::uint8_t delay_10ms;
    std::array<std::uint8_t, kSetupStreamBytes> opened;  ///< rt, then SHDR'
  };

  /// What a return block said.
  struct Return {
    Block k_ret;
    std::uint8_t depth;
  };

  RelayParts parts;
  crypto_accel::OnionBatch batch;

  Lanes<const crypto_accel::LinkKey*> link_key{};
  Lanes<Block> secret{};  ///< of the layer
  Lanes<Block> ctx{};
  Lanes<Block> x_l{};      ///< T as it came in
  Lanes<Block> x_l_out{};  ///< X_L'
  Lanes<Block> w{};
  Lanes<std::uint64_t> replay_tag{};
  LaneMask replay_keyed = 0;  ///< lanes with a replay tag: others have no key for their slot
  Lanes<Block> mac{};
  Lanes<const std::uint8_t*> message_at{};
  Lanes<std::array<std::uint8_t, kMacMessageBytesMax>> message{};
  Lanes<internal::Next> next{};
  Lanes<Setup> setup{};
  Lanes<Return> returned{};
  LaneMask ciphered = 0;     ///< lanes that are past step 9 and have X_R' already
  LaneMask to_tag = 0;       ///< lanes whose client tag is due
  LaneMask set_up = 0;       ///< lanes that have been written to in `setup`
  LaneMask turned_back = 0;  ///< and in `returned`
};

}  // namespace allium::onion
