// SPDX-License-Identifier: Apache-2.0
#pragma once

// While an object lives, whatever takes memory from the heap on its thread, or gives some back, ends the process:
// operator new, malloc and its kin, free, of this program and of every library. A worker does none of it after
// its start.
//
//   Threads    one an object; others allocate as they like.

namespace allium::dataplane {

class NoAllocation {
 public:
  NoAllocation() noexcept;
  ~NoAllocation();
  NoAllocation(const NoAllocation&) = delete;
  NoAllocation& operator=(const NoAllocation&) = delete;
};

}  // namespace allium::dataplane
