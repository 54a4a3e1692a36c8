// SPDX-License-Identifier: Apache-2.0
#pragma once

// A descriptor that is kept for a moment in which there may be no other, as the second one of something.
//
//   Threads  one.

namespace allium::control {

class SpareDescriptor {
 public:
  SpareDescriptor();
  ~SpareDescriptor();
  SpareDescriptor(const SpareDescriptor&) = delete;
  SpareDescriptor& operator=(const SpareDescriptor&) = delete;

  /// False: there were no descriptors to keep.
  [[nodiscard]] bool is_open() const noexcept { return spare_ >= 0; }

  /// For dup3().
  [[nodiscard]] int get() const noexcept { return spare_; }

  /// Lets go of what it is a descriptor of.
  void clear() const noexcept;

 private:
  int nothing_;  ///< what it is while it is not used
  int spare_;
};

}  // namespace allium::control
