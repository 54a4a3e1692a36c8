// SPDX-License-Identifier: Apache-2.0
#pragma once

// One manager of ipsec-mb: the library's state for one thread, and the calls on it that our kernels
// and primitives share.
//
//   Ownership  owns the library's memory; it is wiped when the object ends.
//   Errors     a manager that cannot be made, or a job that the library refuses, is an error of
//              ours (ALLIUM_CHECK): ask cpu_can_run_ipsec_mb first.
//   Threads    one thread an object.
//   Timing     constant in keys and data.

#include <cstddef>
#include <cstdint>

#include <intel-ipsec-mb.h>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/onion_batch.hpp"

namespace allium::crypto_accel {

/// AES-NI, PCLMUL and SSE4.2: without them the library falls back to emulation, or fails with
/// ENODEV.
[[nodiscard]] bool cpu_can_run_ipsec_mb() noexcept;

/// Which code of the library a manager uses.
enum class MbCode : std::uint8_t {
  best,  ///< the widest that this CPU has
  sse,   ///< 128-bit vectors only
};

/// The schedule that encrypts under one AES-128 key.
struct alignas(16) MbSchedule {
  std::array<std::uint8_t, 176> bytes;
};

class MbManager {
 public:
  explicit MbManager(MbCode code) noexcept;
  ~MbManager();
  MbManager(const MbManager&) = delete;
  MbManager& operator=(const MbManager&) = delete;

  [[nodiscard]] IMB_MGR* get() const noexcept { return manager_; }

  /// Both schedules of a key.
  void expand(const std::uint8_t* key, std::uint8_t* encrypt, std::uint8_t* decrypt) noexcept;

  /// target = mask ^ AES_k(source), one block.
  void encrypt_block(const std::uint8_t* schedule, const std::uint8_t* source,
                     const std::uint8_t* mask, std::uint8_t* target) noexcept;

  /// CMAC's subkeys (RFC 4493, 2.3). The library's own function branches on a bit of the first and on one of the second.
  void cmac_subkeys(const std::uint8_t* schedule, std::uint8_t* one, std::uint8_t* two) noexcept;

  /// ECB over whole blocks, in place allowed. `schedule` is that of the direction.
  void ecb(IMB_CIPHER_DIRECTION direction, const std::uint8_t* schedule, const std::uint8_t* source,
           std::uint8_t* target, std::size_t byte_count) noexcept;

  /// Queues one CMAC; `tag` holds 16 bytes after `drain`. A zero subkey makes it a raw CBC-MAC for
  /// whole blocks. All pointers must live until then.
  void queue_cmac(const std::uint8_t* schedule, const std::uint8_t* subkey_one,
                  const std::uint8_t* subkey_two, const std::uint8_t* message,
                  std::size_t message_bytes, std::uint8_t* tag) noexcept;

  /// Ends every queued job.
  void drain() noexcept;

 private:
  void submit() noexcept;

  void* memory_;
  IMB_MGR* manager_;
};

/// The calling thread's own, with the best code; made at its first call.
[[nodiscard]] MbManager& manager_of_thread() noexcept;

/// 16 zero bytes, aligned as the library wants its subkeys.
alignas(16) inline constexpr Block kZeroBlock{};

}  // namespace allium::crypto_accel
