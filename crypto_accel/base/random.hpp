// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where random bytes come from is always an argument, so that vectors and simulations own it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace allium {

/// A source of bytes. Borrowed by whoever draws; not shared between threads.
struct Random {
  void* state = nullptr;
  void (*fill)(void* state, std::uint8_t* target, std::size_t byte_count) noexcept = nullptr;

  void operator()(std::span<std::uint8_t> target) const noexcept {
    if (!target.empty()) {
      fill(state, target.data(), target.size());
    }
  }
};

/// The operating system's generator (libsodium's randombytes). Any thread; may enter the kernel.
[[nodiscard]] Random system_random() noexcept;

/// A fast generator for one packet worker: ChaCha20 (libsodium's, since this folder stands below the
/// AES kernels) under a key drawn from the system, re-keyed from its own output at every refill; bytes
/// handed out are wiped from the pool (fast key erasure). Never enters the kernel after creation.
class WorkerRandom {
 public:
  WorkerRandom() noexcept;
  ~WorkerRandom();
  WorkerRandom(const WorkerRandom&) = delete;
  WorkerRandom& operator=(const WorkerRandom&) = delete;

  [[nodiscard]] Random source() noexcept;

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept;
  void refill() noexcept;

  static constexpr std::size_t kKeyBytes = 32;
  static constexpr std::size_t kPoolBytes = 4096;
  std::array<std::uint8_t, kPoolBytes> pool_{};
  std::size_t used_ = kPoolBytes;
  std::array<std::uint8_t, kKeyBytes> key_{};
};

}  // namespace allium
