// SPDX-License-Identifier: Apache-2.0
#pragma once

// A hash table of fixed size: all its memory is taken at the start.
//
//   Ownership  owns its entries; a pointer to one is valid until the next insert or erase.
//   Errors     insert answers null where it is full.
//   Threads    none of its own.
//   Limits     `capacity` entries in twice as many places, open addressing.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "crypto_accel/base/check.hpp"

namespace allium::onion::internal {

/// `Hash` maps a key to 64 bits that nobody outside can foresee.
template <typename Key, typename Value, typename Hash>
class BoundedMap {
 public:
  BoundedMap(std::size_t capacity, Hash hash)
      : hash_(std::move(hash)), capacity_(capacity), places_(std::bit_ceil(2 * capacity)) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] bool is_full() const noexcept { return size_ == capacity_; }

  [[nodiscard]] Value* find(const Key& key) noexcept {
    Place& place = places_[locate(key)];
    return place.used ? &place.value : nullptr;
  }

  /// The value of `key`, made if it is not there. Null where it is not there and the table is full.
  [[nodiscard]] Value* insert(const Key& key) noexcept {
    Place& place = places_[locate(key)];
    if (place.used) {
      return &place.value;
    }
    if (is_full()) {
      return nullptr;
    }
    place.used = true;
    place.key = key;
    place.value = Value{};
    ++size_;
    return &place.value;
  }

  void erase(const Key& key) noexcept {
    const std::size_t index = locate(key);
    if (places_[index].used) {
      vacate(index);
    }
  }

  /// Erases every entry for which is_due(value) holds.
  template <typename Predicate>
  void erase_if(Predicate is_due) noexcept {
    for (std::size_t index = 0; index < places_.size();) {
      // A vacated place may be filled from behind, so it is looked at again.
      if (places_[index].used && is_due(places_[index].value)) {
        vacate(index);
      } else {
        ++index;
      }
    }
  }

 private:
  struct Place {
    bool used = false;
    Key key{};
    Value value{};
  };

  [[nodiscard]] std::size_t next(std::size_t index) const noexcept {
    return (index + 1) & (places_.size() - 1);
  }

  [[nodiscard]] std::size_t home(const Key& key) const noexcept {
    return hash_(key) & (places_.size() - 1);
  }

  // The place of `key`, or the unused one where it belongs. Half of the places are unused, so there is one.
  [[nodiscard]] std::size_t locate(const Key& key) const noexcept {
    std::size_t index = home(key);
    while (places_[index].used && !(places_[index].key == key)) {
      index = next(index);
    }
    return index;
  }

  // Moves back what stands behind and belongs here or before (Knuth, vol. 3, 6.4, algorithm R).
  void vacate(std::size_t hole) noexcept {
    for (std::size_t index = next(hole); places_[index].used; index = next(index)) {
      const std::size_t from_home = (index - home(places_[index].key)) & (places_.size() - 1);
      const std::size_t from_hole = (index - hole) & (places_.size() - 1);
      if (from_home >= from_hole) {
        places_[hole] = places_[index];
        hole = index;
      }
    }
    places_[hole] = Place{};
    --size_;
  }

  Hash hash_;
  std::size_t capacity_;
  std::vector<Place> places_;
  std::size_t size_ = 0;
};

}  // namespace allium::onion::internal
