// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/set_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>

#include "crypto_accel/base/check.hpp"

namespace allium::bench {
namespace {

// The number in the line AnonHugePages of /proc/self/smaps, in KiB, of the mapping that holds `address`.
std::size_t huge_kib_at(std::uintptr_t address) {
  std::ifstream file("/proc/self/smaps");
  bool is_ours = false;
  for (std::string line; std::getline(file, line);) {
    const char* const end = line.data() + line.size();
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    const auto dash = std::from_chars(line.data(), end, first, 16);
    if (dash.ec == std::errc() && dash.ptr != end && *dash.ptr == '-') {
      const auto space = std::from_chars(dash.ptr + 1, end, last, 16);
      is_ours = space.ec == std::errc() && first <= address && address < last;
    } else if (is_ours && line.rfind("AnonHugePages:", 0) == 0) {
      return std::stoul(line.substr(line.find(':') + 1));
    }
  }
  return 0;
}

}  // namespace

SetMemory::SetMemory(std::size_t byte_count) : byte_count_(byte_count) {
  void* memory = mmap(nullptr, byte_count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ALLIUM_CHECK(memory != MAP_FAILED);
  memory_ = static_cast<std::byte*>(memory);
  madvise(memory_, byte_count_, MADV_HUGEPAGE);
}

SetMemory::~SetMemory() {
  munmap(memory_, byte_count_);
}

std::size_t SetMemory::huge_bytes() const {
  // Neighbours of the same kind share a mapping.
  return std::min(byte_count_, huge_kib_at(reinterpret_cast<std::uintptr_t>(memory_)) * 1024);
}

}  // namespace allium::bench
