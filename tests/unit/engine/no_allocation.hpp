// SPDX-License-Identifier: Apache-2.0
#pragma once

// While an object lives, operator new on its thread aborts: a worker allocates nothing after its start.

namespace allium::dataplane {

class NoAllocation {
 public:
  NoAllocation() noexcept;
  ~NoAllocation();
  NoAllocation(const NoAllocation&) = delete;
  NoAllocation& operator=(const NoAllocation&) = delete;
};

}  // namespace allium::dataplane
