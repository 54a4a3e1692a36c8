// SPDX-License-Identifier: Apache-2.0
#include "dataplane/onion/replay_set.hpp"

#include <emmintrin.h>

#include <algorithm>
#include <bit>
#include <new>

#include "crypto_accel/base/check.hpp"
#include "dataplane/onion/wire_format.hpp"

namespace allium::onion {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kLinesMin = 64;
constexpr std::size_t kLinesMax = std::size_t{1} << 28;
constexpr std::uint64_t kMagic = 0x616c6c3152504c31;  // "all1RPL1": the layout's name and version

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint32_t>) * ReplaySet::kPlacesPerLine == kLineBytes);

using Place = std::atomic<std::uint32_t>;

/// What stands in a line: bit i for place i.
struct LineContent {
  unsigned empty;
  unsigned same;  ///< as the fingerprint
};

// All places at once: how full a line is is chance, which branches lose. A place is read whole, as aligned 32 bits
// are by any load on x86; the language, and so the thread sanitizer, knows that of atomic loads alone.
[[gnu::always_inline]] inline LineContent look_at(const Place* line,
                                                  std::uint32_t fingerprint) noexcept {
  static_assert(ReplaySet::kPlacesPerLine == 16);
  LineContent content{};
#if defined(__SANITIZE_THREAD__)
  for (unsigned place = 0; place < ReplaySet::kPlacesPerLine; ++place) {
    const std::uint32_t seen = line[place].load(std::memory_order_acquire);
    content.empty |= unsigned{seen == 0} << place;
    content.same |= unsigned{seen == fingerprint} << place;
  }
#else
  const auto* quarters = reinterpret_cast<const __m128i*>(line);
  const __m128i wanted = _mm_set1_epi32(static_cast<int>(fingerprint));
  const __m128i nothing = _mm_setzero_si128();
  const __m128i places[4] = {_mm_load_si128(quarters), _mm_load_si128(quarters + 1),
                             _mm_load_si128(quarters + 2), _mm_load_si128(quarters + 3)};
  const auto bits = [&places](__m128i value) {
    const __m128i low =
        _mm_packs_epi32(_mm_cmpeq_epi32(places[0], value), _mm_cmpeq_epi32(places[1], value));
    const __m128i high =
        _mm_packs_epi32(_mm_cmpeq_epi32(places[2], value), _mm_cmpeq_epi32(places[3], value));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
  };
  content = {bits(nothing), bits(wanted)};
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
  return content;
}

}  // namespace

// Written once, but for the floor and the names. `magic` comes last: a process that dies before it
// leaves memory that is new again.
struct alignas(kLineBytes) ReplaySet::Header {
  std::atomic<std::uint64_t> magic;
  std::atomic<std::uint64_t> lines;
  std::array<std::byte, 48> unused;
  alignas(kLineBytes) std::atomic<std::uint64_t> floor;
  alignas(kLineBytes) std::array<std::atomic<std::uint64_t>, kGenerations> names;
};

std::size_t ReplaySet::bytes_needed(std::size_t lines) noexcept {
  ALLIUM_CHECK(std::has_single_bit(lines) && lines <= kLinesMax);
  return sizeof(Header) + kGenerations * lines * kLineBytes;
}

std::size_t ReplaySet::lines_for(std::uint64_t packets_per_second) noexcept {
  constexpr std::uint64_t kRateMax = kLinesMax;
  const std::uint64_t packets = std::min(packets_per_second, kRateMax) * kSlotSeconds;
  const std::uint64_t places = packets + packets / 3;
  const std::uint64_t lines = (places + kPlacesPerLine - 1) / kPlacesPerLine;
  return std::min(kLinesMax, std::bit_ceil(std::max<std::size_t>(lines, kLinesMin)));
}

Result<ReplaySet> ReplaySet::attach(std::span<std::byte> memory, std::size_t lines,
                                    std::uint64_t floor_if_new, Inserters inserters) {
  if (!std::has_single_bit(lines) || lines > kLinesMax || memory.size() != bytes_needed(lines)) {
    return fail(Errc::malformed, "the replay set's memory has another size than its lines need");
  }
  ALLIUM_CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % kLineBytes == 0);
  ReplaySet set;
  set.header_ = std::launder(reinterpret_cast<Header*>(memory.data()));
  set.lines_memory_ = memory.data() + sizeof(Header);
  set.lines_ = lines;
  set.has_one_inserter_ = inserters == Inserters::one;
  Header& header = *set.header_;
  const std::uint64_t magic = header.magic.load(std::memory_order_acquire);
  if (magic == 0) {
    set.was_new_ = true;
    header.lines.store(lines, std::memory_order_relaxed);
    header.floor.store(floor_if_new, std::memory_order_relaxed);
    header.magic.store(kMagic, std::memory_order_release);
  } else if (magic != kMagic || header.lines.load(std::memory_order_relaxed) != lines) {
    return fail(Errc::malformed,
                "the replay set's memory has another layout; start with new memory");
  }
  return set;
}

[[gnu::always_inline]] inline std::atomic<std::uint64_t>& ReplaySet::name_of(
    std::uint64_t slot) const noexcept {
  return header_->names[slot % kGenerations];
}

[[gnu::always_inline]] inline std::atomic<std::uint32_t>* ReplaySet::line_of(
    std::uint64_t slot, std::uint64_t line) const noexcept {
  const std::size_t index = slot % kGenerations * lines_ + (line & (lines_ - 1));
  return std::launder(
      reinterpret_cast<std::atomic<std::uint32_t>*>(lines_memory_ + index * kLineBytes));
}

// In place, as what it calls: once a packet.
[[gnu::always_inline]] inline ReplayAnswer ReplaySet::insert(std::uint64_t slot,
                                                             std::uint64_t tag) const noexcept {
  // Line from the low half, fingerprint from the high half of a tag that is the output of a cipher.
  const std::uint32_t fingerprint = std::max(static_cast<std::uint32_t>(tag >> 32), 1U);
  const std::size_t line_count = std::min(kProbeLinesMax, lines_);
  for (std::size_t step = 0; step < line_count; ++step) {
    Place* line = line_of(slot, (tag & 0xffffffff) + step);
    for (LineContent content = look_at(line, fingerprint); (content.same | content.empty) != 0;
         content = look_at(line, fingerprint)) {
      if (content.same != 0) {
        return ReplayAnswer::replay;
      }
      Place& place = line[std::countr_zero(content.empty)];
      if (has_one_inserter_) {
        place.store(fingerprint, std::memory_order_release);
        return ReplayAnswer::fresh;
      }
      std::uint32_t seen = 0;
      if (place.compare_exchange_strong(seen, fingerprint, std::memory_order_seq_cst)) {
        return ReplayAnswer::fresh;
      }
      // Another thread was faster; what it put there may be the same.
    }
  }
  return ReplayAnswer::full;
}

ReplayAnswer ReplaySet::test_and_set(std::uint64_t slot, std::uint64_t tag) noexcept {
  const std::uint64_t name = slot + 1;
  if (slot < floor() || name_of(slot).load(std::memory_order_seq_cst) != name) {
    return ReplayAnswer::closed;
  }
  const ReplayAnswer answer = insert(slot, tag);
  // Whoever cleared the generation took its name away first, so an unchanged name means that the
  // insert went to ground that was still ours. A single inserter's plain store may become visible after this load. If
  // the name goes in between, the slot is closed for good, and all that can be left is a fingerprint too many in the
  // next generation: one packet in 2^32 of those that pick its line.
  if (name_of(slot).load(std::memory_order_seq_cst) != name) {
    return ReplayAnswer::closed;
  }
  return answer;
}

void ReplaySet::prefetch(std::uint64_t slot, std::uint64_t tag) const noexcept {
  __builtin_prefetch(line_of(slot, tag & 0xffffffff), 1);
}

std::uint64_t ReplaySet::floor() const noexcept {
  return header_->floor.load(std::memory_order_seq_cst);
}

void ReplaySet::raise_floor(std::uint64_t slot) noexcept {
  std::uint64_t floor = header_->floor.load(std::memory_order_relaxed);
  while (floor < slot &&
         !header_->floor.compare_exchange_weak(floor, slot, std::memory_order_seq_cst)) {
  }
}

bool ReplaySet::clear_some(std::size_t lines_at_most) noexcept {
  const std::uint64_t lowest = floor();
  for (std::uint64_t slot = lowest; slot < lowest + kGenerations; ++slot) {
    if (name_of(slot).load(std::memory_order_acquire) == slot + 1) {
      continue;
    }
    if (lines_at_most == 0) {
      return false;
    }
    lines_at_most -= clear_generation(slot, lines_at_most);
    if (name_of(slot).load(std::memory_order_relaxed) != slot + 1) {
      return false;
    }
  }
  return true;
}

// Returns how many lines it cleared; at the end of the generation gives it its name.
std::size_t ReplaySet::clear_generation(std::uint64_t slot, std::size_t lines_at_most) noexcept {
  std::atomic<std::uint64_t>& name = name_of(slot);
  std::size_t& cleared = cleared_lines_[slot % kGenerations];
  if (name.load(std::memory_order_relaxed) != 0) {
    name.store(0, std::memory_order_seq_cst);
    cleared = 0;
  }
  const std::size_t count = std::min(lines_at_most, lines_ - cleared);
  std::atomic<std::uint32_t>* place = line_of(slot, cleared);
  for (std::size_t i = 0; i < count * kPlacesPerLine; ++i) {
    // Release: who reads this zero sees the name gone as well.
    place[i].store(0, std::memory_order_release);
  }
  cleared += count;
  if (cleared == lines_) {
    cleared = 0;
    name.store(slot + 1, std::memory_order_seq_cst);
  }
  return count;
}

std::size_t ReplaySet::slice_lines() const noexcept {
  constexpr std::size_t kSlices = 64;
  constexpr std::size_t kSliceLinesMin = 4096;  // below, a call costs more than its lines
  return std::max(kSliceLinesMin, lines_ / kSlices);
}

std::uint64_t ReplaySet::capacity() const noexcept {
  return lines_ * kPlacesPerLine * 3 / 4;
}

}  // namespace allium::onion
