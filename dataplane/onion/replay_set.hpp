// SPDX-License-Identifier: Apache-2.0
#pragma once

// The replay set: which (slot, tag) pairs have been seen (SPEC.md section 9, step 9), and the slot
// floor. One a node, shared by all workers, in memory that the controlling process owns (a memfd), so
// that it outlives a crash of the dataplane.
//
// Four generations (slot mod 4), each an array of cache lines of sixteen 32-bit fingerprints. A tag
// picks a line and goes to the first empty place from there on, by compare-and-swap where several threads insert; places are never
// emptied while the generation lives. All inserters of one tag therefore meet in the same place, and
// of two twins exactly one wins. A generation names its slot; the name is checked again after the
// insert, so that a worker that slept through a turn never accepts on cleared ground.
//
//   Units      slots are absolute (Unix time / 8 s).
//   Ownership  borrows the memory; it must outlive the object. Layout in README.md.
//   Errors     attach refuses memory of another size or layout version.
//   Threads    test_and_set: one, or any, as attach was told; raise_floor, floor: any. clear_some: one thread at a
//              time, beside all others.
//   Limits     capacity() packets a slot at 3/4 load; beyond kProbeLinesMax full lines: full.
//   Cost       one cache line a packet in the normal case; `prefetch` starts its load early.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto_accel/base/result.hpp"

namespace allium::onion {

enum class ReplayAnswer : std::uint8_t {
  fresh,   ///< was not there; is there now
  replay,  ///< was there
  closed,  ///< the slot is below the floor or its generation is gone: verdict `slot`
  full,    ///< more packets than the set was sized for: verdict `rate`
};

/// Who calls test_and_set: a thread that is alone needs no locked instruction.
enum class Inserters : std::uint8_t { one, many };

class ReplaySet {
 public:
  static constexpr std::size_t kPlacesPerLine = 16;
  static constexpr std::size_t kProbeLinesMax = 16;

  /// Bytes of a set with `lines` cache lines a generation. Requires a power of two.
  static std::size_t bytes_needed(std::size_t lines) noexcept;

  /// Lines for `packets_per_second` at 3/4 load, a power of two, at least 64.
  static std::size_t lines_for(std::uint64_t packets_per_second) noexcept;

  /// Takes `memory` into use: all-zero memory becomes an empty set whose floor is `floor_if_new`;
  /// memory that held a set goes on as it was. Requires 64-byte alignment.
  static Result<ReplaySet> attach(std::span<std::byte> memory, std::size_t lines,
                                  std::uint64_t floor_if_new,
                                  Inserters inserters = Inserters::many);

  /// True where attach found all-zero memory.
  [[nodiscard]] bool was_new() const noexcept { return was_new_; }

  /// Tests and inserts in one step, for the slot's generation.
  [[nodiscard]] ReplayAnswer test_and_set(std::uint64_t slot, std::uint64_t tag) noexcept;

  void prefetch(std::uint64_t slot, std::uint64_t tag) const noexcept;

  [[nodiscard]] std::uint64_t floor() const noexcept;

  /// floor = max(floor, slot). Never falls. Called with (slot of the clock) - 1 before step 1.
  void raise_floor(std::uint64_t slot) noexcept;

  /// Clears at most `lines_at_most` lines of generations below the floor and readies them for the
  /// slots floor .. floor + 3: the fourth is the one that the next turn of the slot needs. True when all
  /// are ready.
  bool clear_some(std::size_t lines_at_most) noexcept;

  /// What to hand clear_some every 100 ms: so a generation is ready in 6.4 s of the 8 s that a slot lasts, and a
  /// call writes a 64th of it at most (1 MiB in a set for a million packets a second, 8 MiB for ten).
  [[nodiscard]] std::size_t slice_lines() const noexcept;

  /// Clears everything that is due: at start, and when the clock jumped.
  void clear_all_due() noexcept {
    while (!clear_some(std::size_t{1} << 16)) {
    }
  }

  /// Packets of one slot that fit at 3/4 load.
  [[nodiscard]] std::uint64_t capacity() const noexcept;

 private:
  struct Header;

  ReplaySet() noexcept = default;

  /// The name of a generation: its slot + 1; 0 while it is being cleared.
  [[nodiscard]] std::atomic<std::uint64_t>& name_of(std::uint64_t slot) const noexcept;
  [[nodiscard]] std::atomic<std::uint32_t>* line_of(std::uint64_t slot,
                                                    std::uint64_t line) const noexcept;
  [[nodiscard]] ReplayAnswer insert(std::uint64_t slot, std::uint64_t tag) const noexcept;
  [[nodiscard]] std::size_t clear_generation(std::uint64_t slot,
                                             std::size_t lines_at_most) noexcept;

  static constexpr std::size_t kGenerations = 4;

  Header* header_ = nullptr;
  std::byte* lines_memory_ = nullptr;
  std::size_t lines_ = 0;
  std::array<std::size_t, kGenerations> cleared_lines_{};  ///< of generations without a name
  bool was_new_ = false;
  bool has_one_inserter_ = false;
};

}  // namespace allium::onion
