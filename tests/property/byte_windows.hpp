// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finding pieces of one byte string in another, at any offset.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "crypto_accel/base/bytes.hpp"

namespace allium::property {

/// How many pieces of N bytes of `left` are in `right`, wherever. Pieces that are mostly zeros do not count:
/// those meet by chance.
template <std::size_t N>
[[nodiscard]] std::size_t shared_pieces(Bytes left, Bytes right) {
  using Piece = std::array<std::uint8_t, N>;
  const auto pieces_of = [](Bytes bytes) {
    std::vector<Piece> pieces;
    for (std::size_t at = 0; at + N <= bytes.size(); ++at) {
      Piece& piece = pieces.emplace_back();
      std::memcpy(piece.data(), bytes.data() + at, N);
    }
    std::sort(pieces.begin(), pieces.end());
    return pieces;
  };
  const std::vector<Piece> all = pieces_of(right);
  std::size_t found = 0;
  for (const Piece& piece : pieces_of(left)) {
    const auto zeros = static_cast<std::size_t>(std::count(piece.begin(), piece.end(), 0));
    if (zeros <= N / 2 && std::binary_search(all.begin(), all.end(), piece)) {
      ++found;
    }
  }
  return found;
}

}  // namespace allium::property
