// SPDX-License-Identifier: Apache-2.0
#pragma once

// The order in which a burst leaves: one of all its orders, each as likely, so that a packet's place among
// those that leave together says nothing about its place among those that came together.
//
//   Units      places count from 0.
//   Errors     none.
//   Threads    reentrant; `random` is the calling thread's.
//   Limits     onion::kBurstMax places.
//   Cost       one draw a burst (dataplane/README.md); a lone packet costs nothing.
//   Source     Fisher and Yates in Durstenfeld's form (CACM 7(7), 1964, algorithm 235); bounded numbers
//              without bias after Lemire (arXiv:1805.10941).

#include <array>
#include <cstddef>
#include <cstdint>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/burst.hpp"

namespace allium::dataplane {

/// Calls swap_places(i, j) for i = count - 1 down to 1, with j uniform in 0 .. i (also where j = i).
///
/// Draws 2 * (count - 1) bytes at once, two a place, little-endian, the last place first; then two more for each
/// number that is refused (fewer than one in 2000). Nothing where count < 2. Requires count <= kBurstMax.
template <typename SwapPlaces>
void permute_places(std::size_t count, const Random& random, SwapPlaces&& swap_places) noexcept {
  // So many refusals in a row are a broken generator, not chance: (31 / 65536)^64.
  constexpr int kRefusalsMax = 64;
  if (count < 2) {
    return;
  }
  ALLIUM_CHECK(count <= onion::kBurstMax);
  std::array<std::uint8_t, 2 * (onion::kBurstMax - 1)> drawn{};
  random({drawn.data(), 2 * (count - 1)});
  std::uint8_t* next = drawn.data();
  for (std::uint32_t place = static_cast<std::uint32_t>(count) - 1; place > 0; --place, next += 2) {
    const std::uint32_t bound = place + 1;
    const auto scaled = [&] { return (next[0] | std::uint32_t{next[1]} << 8) * bound; };
    std::uint32_t product = scaled();
    // The lowest 65536 % bound remainders come of one number more than others do. To know them takes a
    // division, so it is asked only below bound, where they are.
    for (int refused = 0; (product & 0xffff) < bound && (product & 0xffff) < 65536 % bound;) {
      ALLIUM_CHECK(++refused < kRefusalsMax);
      random({next, 2});
      product = scaled();
    }
    swap_places(std::size_t{place}, std::size_t{product >> 16});
  }
}

}  // namespace allium::dataplane
