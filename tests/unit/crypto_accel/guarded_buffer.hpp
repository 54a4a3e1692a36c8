// SPDX-License-Identifier: Apache-2.0
#pragma once

// Memory between two pages that nobody may touch: code that reads or writes one byte too far ends
// the test program there.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "crypto_accel/base/bytes.hpp"

namespace allium::test {

/// Where the bytes lie between the two pages.
struct Placement {
  enum class Edge : std::uint8_t { front, back };
  Edge edge;
  std::size_t distance;  ///< from that edge, in bytes
};

class GuardedBuffer {
 public:
  GuardedBuffer() : page_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    void* mapping = mmap(nullptr, page_bytes_ * 3, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
      throw std::runtime_error("mmap");
    }
    mapping_ = static_cast<std::uint8_t*>(mapping);
    if (mprotect(mapping_ + page_bytes_, page_bytes_, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("mprotect");
    }
  }

  ~GuardedBuffer() { munmap(mapping_, page_bytes_ * 3); }

  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  /// A copy of `bytes` at that place; valid until the next call.
  std::uint8_t* place(const Placement& placement, Bytes bytes) {
    if (bytes.size() + placement.distance > page_bytes_) {
      throw std::invalid_argument("does not fit into a page");
    }
    std::uint8_t* page = mapping_ + page_bytes_;
    std::uint8_t* start = placement.edge == Placement::Edge::front
                              ? page + placement.distance
                              : page + page_bytes_ - placement.distance - bytes.size();
    std::copy(bytes.begin(), bytes.end(), start);
    return start;
  }

 private:
  std::size_t page_bytes_;
  std::uint8_t* mapping_ = nullptr;
};

}  // namespace allium::test
