// SPDX-License-Identifier: Apache-2.0
#pragma once

// What became of a packet. Every packet ends in exactly one of these, and the name of a drop is the
// name of its counter (SPEC.md section 9).

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace allium::onion {

enum class Verdict : std::uint8_t {
  pending,  ///< not decided yet; never a final answer
  forward,  ///< goes on to a relay or a client
  deliver,  ///< ended here, at a service; an answer may go out besides
  parked,   ///< a setup packet that waits for its delay
  // drops, in the order of SPEC.md
  length,
  version,
  type,
  ll_key,
  ll_tag,
  slot,
  cookie,
  rate,
  fs_type,
  fs_expired,
  s_key,
  s_dh,
  header_mac,
  rt,
  r_block,
  r_expired,
  replay,
  handle,
  svc_unknown,
  svc_malformed,
  svc_cookie,
  no_route,
  tx_full,
};

inline constexpr std::size_t kVerdictCount = static_cast<std::size_t>(Verdict::tx_full) + 1;
inline constexpr std::size_t kFirstDrop = static_cast<std::size_t>(Verdict::length);

constexpr bool is_drop(Verdict verdict) noexcept {
  return static_cast<std::size_t>(verdict) >= kFirstDrop;
}

/// "forward", "ll_tag", ...: the name in counters, JSON and vectors.
[[nodiscard]] std::string_view verdict_name(Verdict verdict) noexcept;

/// One sentence for a person: what happened and, for a drop, what usually causes it.
[[nodiscard]] std::string_view verdict_explanation(Verdict verdict) noexcept;

}  // namespace allium::onion
