// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where the time of a burst goes, for measurements: the relay and its worker say when a stage has ended, and whoever
// measures reads a clock then. Nobody measures in production: a test of a pointer a stage and burst.
//
//   Units      a stage is ended once a burst, or once a packet type of it.
//   Ownership  the state is the measurer's and outlives the relay.
//   Threads    called by the worker.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace allium::onion {

/// In the order in which a burst goes through them.
enum class Stage : std::uint8_t {
  turn,           ///< worker: snapshot, time of day, what waits; between two bursts
  receive,        ///< worker: the device
  parse,          ///< worker: frames
  classify,       ///< steps 1 to 4, and which link it is
  link_tag_in,    ///< step 5
  link_veil_in,   ///< slots, veil, cookies, limits: up to step 7
  setup_wait,     ///< worker: setup packets go to a burst of their own
  key_agreement,  ///< S: X25519 and HKDF
  segment,        ///< forwarding segment and session secret
  derive,         ///< keys of the layer
  hash,           ///< hash of X_R, X_L'
  header_mac,
  routing,  ///< S: what its header says
  replay_tag,
  replay_set,
  cipher,        ///< X_R'
  header_shift,  ///< AHDR'
  route,         ///< where it goes; S: the return block; wiping
  link_header,   ///< sequence numbers
  link_veil_out,
  link_tag_out,
  frame,  ///< worker: next hop, headers, checksums
  send,   ///< worker: the device
  books,  ///< worker: counters
};

inline constexpr std::array<std::string_view, 24> kStageNames = {
    "turn",        "receive",       "parse",        "classify", "link_tag_in",  "link_veil_in",
    "setup_wait",  "key_agreement", "segment",      "derive",   "hash",         "header_mac",
    "routing",     "replay_tag",    "replay_set",   "cipher",   "header_shift", "route",
    "link_header", "link_veil_out", "link_tag_out", "frame",    "send",         "books"};
inline constexpr std::size_t kStageCount = kStageNames.size();
static_assert(static_cast<std::size_t>(Stage::books) + 1 == kStageCount);

struct StageProbe {
  void* state = nullptr;
  void (*ended)(void* state, Stage stage) noexcept = nullptr;  ///< null: nobody measures

  void operator()(Stage stage) const noexcept {
    if (ended != nullptr) [[unlikely]] {
      ended(state, stage);
    }
  }
};

}  // namespace allium::onion
