// SPDX-License-Identifier: Apache-2.0
#pragma once

// What of a node outlives its processes, and is on no disk: its short-lived keys, and the replay set and handle table of its
// dataplane. Three memfds that the service manager keeps while alliumd is away (systemd's file descriptor store; a devnet's
// supervisor does the same).
//
//   Ownership  owns the descriptors; the manager has copies.
//   Errors     Errc::unavailable: the machine has no memory for them.
//   Threads    one.
//   Crashes    keys are written to the older of two places, with a digest: a process that dies while it writes leaves
//              the state before.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "control/node/node_keys.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

class NodeMemory {
 public:
  /// The names under which a service manager hands the descriptors over (sd_listen_fds_with_names(3)): keys, replay set,
  /// handle table.
  static constexpr std::array<const char*, 3> kNames = {"allium-keys", "allium-replay",
                                                        "allium-handles"};

  /// Of those that were handed to this process the ones with the right sizes; new ones instead of the others, which the manager
  /// is asked to keep. To be called once, before there are threads: it looks at the environment.
  [[nodiscard]] static Result<NodeMemory> open(std::size_t replay_bytes, std::size_t handle_bytes);

  /// Three new ones, for a manager. In the order of kNames.
  [[nodiscard]] static Result<std::array<int, 3>> create(std::size_t replay_bytes,
                                                         std::size_t handle_bytes);

  ~NodeMemory();
  NodeMemory(NodeMemory&& other) noexcept;
  NodeMemory& operator=(NodeMemory&&) = delete;

  [[nodiscard]] int replay() const noexcept { return descriptors_[1]; }

  [[nodiscard]] int handles() const noexcept { return descriptors_[2]; }

  /// The newest state that was kept whole; all zero where there is none.
  void load(NodeKeys::State& target) const;

  void keep(const NodeKeys::State& state);

 private:
  struct Slot;

  NodeMemory() = default;
  [[nodiscard]] Result<void> map_keys();
  [[nodiscard]] Slot* newest() const;

  std::array<int, 3> descriptors_{-1, -1, -1};
  Slot* slots_ = nullptr;  ///< two, in the first memfd
};

}  // namespace allium::control
