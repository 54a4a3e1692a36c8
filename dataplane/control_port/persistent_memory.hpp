// SPDX-License-Identifier: Apache-2.0
#pragma once

// The memory of a relay that outlives its process: two sealed memfds, of the replay set and of the table
// of IPv6 clients. The controlling process makes them, keeps them, and passes them to every start.
//
//   Ownership  owns its descriptors.
//   Errors     Errc::unavailable: the machine has no memory or no memfd.
//   Threads    one.

#include <cstdint>

#include "crypto_accel/base/result.hpp"
#include "dataplane/control_port/messages.hpp"
#include "dataplane/onion/handle_table.hpp"

namespace allium::control_port {

struct PersistentMemorySizes {
  std::uint64_t replay_lines = 0;  ///< of a generation, a power of two
  onion::HandleLimits handles;
};

class PersistentMemory {
 public:
  /// All-zero memory, sealed against shrinking and growing.
  [[nodiscard]] static Result<PersistentMemory> create(const PersistentMemorySizes& sizes);

  ~PersistentMemory();
  PersistentMemory(PersistentMemory&& other) noexcept;
  PersistentMemory& operator=(PersistentMemory&& other) noexcept;
  PersistentMemory(const PersistentMemory&) = delete;
  PersistentMemory& operator=(const PersistentMemory&) = delete;

  [[nodiscard]] int replay_descriptor() const noexcept { return replay_; }

  [[nodiscard]] int handles_descriptor() const noexcept { return handles_; }

  /// The message that goes with the descriptors. `slot_floor_if_new` as in Configure.
  [[nodiscard]] Configure configure(std::uint64_t slot_floor_if_new) const noexcept;

 private:
  PersistentMemory() noexcept = default;

  PersistentMemorySizes sizes_;
  int replay_ = -1;
  int handles_ = -1;
};

}  // namespace allium::control_port
