// SPDX-License-Identifier: Apache-2.0
#include "no_allocation.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

thread_local int forbidden_depth = 0;

void* allocate(std::size_t byte_count, std::size_t alignment) {
  if (forbidden_depth > 0) {
    std::fputs("a worker allocates memory\n", stderr);
    std::abort();
  }
  const std::size_t whole = (byte_count + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

void* operator new(std::size_t byte_count) {
  return allocate(byte_count, alignof(std::max_align_t));
}

void* operator new[](std::size_t byte_count) {
  return allocate(byte_count, alignof(std::max_align_t));
}

void* operator new(std::size_t byte_count, std::align_val_t alignment) {
  return allocate(byte_count, static_cast<std::size_t>(alignment));
}

void* operator new[](std::size_t byte_count, std::align_val_t alignment) {
  return allocate(byte_count, static_cast<std::size_t>(alignment));
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete[](void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}

void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace allium::dataplane {

NoAllocation::NoAllocation() noexcept {
  ++forbidden_depth;
}

NoAllocation::~NoAllocation() {
  --forbidden_depth;
}

}  // namespace allium::dataplane
