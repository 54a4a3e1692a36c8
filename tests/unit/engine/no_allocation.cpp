// SPDX-License-Identifier: Apache-2.0
#include "no_allocation.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

// The sanitizers' allocators say what they do; where there is none, the C library's functions are replaced and
// its own names for them called.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLIUM_HAS_ALLOCATOR_HOOKS
// GCC brings no header with it.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizers' name
extern "C" int __sanitizer_install_malloc_and_free_hooks(
    void (*on_malloc)(const volatile void* memory, std::size_t byte_count),
    void (*on_free)(const volatile void* memory));
#endif

namespace {

thread_local int forbidden_depth = 0;

void complain_if_forbidden() noexcept {
  if (forbidden_depth > 0) {
    forbidden_depth = 0;  // or the complaint would be one more
    std::fputs("a worker allocates memory\n", stderr);
    std::abort();
  }
}

#ifdef ALLIUM_HAS_ALLOCATOR_HOOKS
const int hooks_installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { complain_if_forbidden(); },
    [](const volatile void*) { complain_if_forbidden(); });
#endif

void* allocate(std::size_t byte_count, std::size_t alignment) {
  complain_if_forbidden();
  const std::size_t whole = (byte_count + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole == 0 ? alignment : whole);
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  return memory;
}

}  // namespace

#ifndef ALLIUM_HAS_ALLOCATOR_HOOKS
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's names
extern "C" {
void* __libc_malloc(std::size_t byte_count);
void* __libc_calloc(std::size_t count, std::size_t byte_count);
void* __libc_realloc(void* memory, std::size_t byte_count);
void* __libc_memalign(std::size_t alignment, std::size_t byte_count);
void __libc_free(void* memory);

void* malloc(std::size_t byte_count) noexcept {
  complain_if_forbidden();
  return __libc_malloc(byte_count);
}

void* calloc(std::size_t count, std::size_t byte_count) noexcept {
  complain_if_forbidden();
  return __libc_calloc(count, byte_count);
}

void* realloc(void* memory, std::size_t byte_count) noexcept {
  complain_if_forbidden();
  return __libc_realloc(memory, byte_count);
}

void* aligned_alloc(std::size_t alignment, std::size_t byte_count) noexcept {
  complain_if_forbidden();
  return __libc_memalign(alignment, byte_count);
}

void* memalign(std::size_t alignment, std::size_t byte_count) noexcept {
  complain_if_forbidden();
  return __libc_memalign(alignment, byte_count);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t byte_count) noexcept {
  complain_if_forbidden();
  *memory = __libc_memalign(alignment, byte_count);
  return *memory == nullptr ? ENOMEM : 0;
}

void free(void* memory) noexcept {
  if (memory != nullptr) {
    complain_if_forbidden();
  }
  __libc_free(memory);
}
}
// NOLINTEND(bugprone-reserved-identifier)
#endif

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
