// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whose turn it is of those that wait for one: address blocks one after the other, and within each its members as they came. However many
// wait from one address, another waits for one of them only.
//
//   Ownership  a T is kept until its turn.
//   Threads    the owner's.
//   Cost       O(log of address blocks).

#include <deque>
#include <map>
#include <utility>

#include "control/service/https/address_block.hpp"

namespace allium::control {

template <typename T>
class Turns {
 public:
  void add(AddressBlock block, T one) {
    std::deque<T>& of_block = waiting_[block];
    of_block.push_back(std::move(one));
    if (of_block.size() == 1) {
      blocks_.push_back(block);
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return blocks_.empty(); }

  /// Requires one that waits.
  [[nodiscard]] T take() {
    const AddressBlock block = blocks_.front();
    blocks_.pop_front();
    const auto of_block = waiting_.find(block);
    T one = std::move(of_block->second.front());
    of_block->second.pop_front();
    if (of_block->second.empty()) {
      waiting_.erase(of_block);
    } else {
      blocks_.push_back(block);
    }
    return one;
  }

 private:
  std::map<AddressBlock, std::deque<T>> waiting_;  ///< no hash: others choose the keys
  std::deque<AddressBlock> blocks_;                ///< of these, in the order of their turns
};

}  // namespace allium::control
