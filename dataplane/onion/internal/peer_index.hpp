// SPDX-License-Identifier: Apache-2.0
#pragma once

// From a key of a peer (its id, its address and port) to its place: a table of one array, probed line by line.
//
//   Ownership  owns its memory; made once, then read only.
//   Errors     insert says whether the key is new.
//   Threads    find: any, once all is inserted.
//   Limits     what `reserve` was told. Which keys are inside is up to the signed network document; outsiders look
//              keys up, which is as long at most as the longest run of full places. The hash is keyed all the same.
//   Cost       one cache line in the normal case.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/endpoint.hpp"

namespace allium::onion::internal {

template <typename Key>
class PeerIndex {
 public:
  /// Room for `count` keys. Empties the table.
  void reserve(std::size_t count) {
    system_random()({reinterpret_cast<std::uint8_t*>(hash_key_.data()), sizeof hash_key_});
    // At most half full, so that a run of full places is short, and there is always one to stop at.
    places_.assign(std::bit_ceil(2 * count + 2), Place{});
    mask_ = places_.size() - 1;
    count_left_ = count;
  }

  /// False where the key is there already. Requires room.
  bool insert(const Key& key, std::uint32_t value) noexcept {
    Place& place = places_[place_of(key)];
    if (place.is_taken || count_left_ == 0) {
      return false;
    }
    place = {key, value, true};
    --count_left_;
    return true;
  }

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  /// kNone where it is not there.
  [[nodiscard]] std::uint32_t find(const Key& key) const noexcept {
    const Place& place = places_[place_of(key)];
    return place.is_taken ? place.value : kNone;
  }

 private:
  struct Place {
    Key key{};
    std::uint32_t value = 0;
    bool is_taken = false;
  };

  // Where the key is, or the free place where its search ends.
  [[nodiscard]] std::size_t place_of(const Key& key) const noexcept {
    std::size_t index = static_cast<std::size_t>(hash(key)) & mask_;
    while (places_[index].is_taken && places_[index].key != key) {
      index = (index + 1) & mask_;
    }
    return index;
  }

  [[nodiscard]] std::uint64_t hash(const Endpoint& endpoint) const noexcept {
    using allium::internal::load_word;
    return fold(
        load_word<std::uint64_t>(endpoint.address.data()) ^ hash_key_[0],
        load_word<std::uint64_t>(endpoint.address.data() + 8) ^ hash_key_[1] ^ endpoint.port);
  }

  [[nodiscard]] std::uint64_t hash(std::uint32_t id) const noexcept {
    return fold(id ^ hash_key_[0], hash_key_[1]);
  }

  // Both halves of the product: every bit of a factor reaches the low bits of the sum.
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::vector<Place> places_ = std::vector<Place>(1);  // never none: a search ends at a free one
  std::size_t mask_ = 0;                               ///< of a place
  std::size_t count_left_ = 0;
  std::array<std::uint64_t, 2> hash_key_{};
};

}  // namespace allium::onion::internal
