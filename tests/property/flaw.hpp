// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a relay or a client is made wrong on purpose, so that a property is seen to fail. Each is one line
// of SPEC.md that an implementation might get wrong and still carry packets.

#include <cstdint>

namespace allium::property {

enum class Flaw : std::uint8_t {
  none,
  decrypts_backward,       ///< undoes a layer instead of putting one on (13.1)
  any_header_mac,          ///< forward: takes whatever stands in the place of gamma
  header_not_masked,       ///< shifts the header and leaves the mask out
  replay_not_kept,         ///< forgets what it has seen
  replay_key_by_clock,     ///< the replay key is that of now, not of the slot (rule 2)
  replay_of_payload,       ///< the replay tag is of X_R too, not of T alone (rule 1)
  replay_per_worker,       ///< each worker has a set of its own
  replay_lost_in_crash,    ///< a restart begins with an empty set and no floor
  floor_falls,             ///< a clock that steps back reopens old slots
  slot_copied_backward,    ///< rule 4
  slot_rewritten_forward,  ///< rule 4
  stack_bytes_forwarded,   ///< bytes of RSTACK outside the authenticated part go on (13.9)
  link_tag_unchecked,      ///< takes whatever stands in the place of the link tag
  cookie_not_required,     ///< opens setup packets of anybody
  no_client_tag,           ///< sends to clients without the tag
  constant_spare,          ///< a client's: spare blocks are the same every time (13.5)
  shared_class_keys,       ///< a client's: D and V of a session have the same keys (rule 6)
  client_tag_unchecked,    ///< a client's: opens what anybody sends
};

}  // namespace allium::property
