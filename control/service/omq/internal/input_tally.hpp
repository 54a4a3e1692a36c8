// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of an own connection's input is inside libzmq: messages that nobody has taken yet, and the one that is not complete, which may
// be of any size, since libzmq bounds its frames alone. libzmq does not say; but the kernel counts what came in by a TCP connection, and
// we what of it libzmq has handed over.
//
//   Units      bytes as they are on the wire. What the kernel has is not counted: it has bounds for that.
//   Ownership  asks about a descriptor that is libzmq's. It may be another file's by now: then the numbers mean nothing, for a moment.
//   Threads    the service thread.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace allium::control {

class InputTally {
 public:
  using Clock = std::chrono::steady_clock;

  /// What a frame of `bytes` takes on the wire, inside CURVE (RFC 26, RFC 37).
  [[nodiscard]] static std::size_t wire_bytes(std::size_t bytes) noexcept;

  InputTally() = default;  ///< of no connection: holds nothing

  explicit InputTally(int descriptor) : descriptor_(descriptor) {}

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  /// A message of so many bytes was handed over.
  void took(std::size_t bytes) noexcept;

  /// Since when more has been held all the time than what is never handed over, and no message has been handed over.
  [[nodiscard]] Clock::time_point unfinished_since() const noexcept { return unfinished_since_; }

  /// Asks the kernel: two system calls, or one where nothing has come.
  void sample() noexcept;

  /// Since the last sample() libzmq has been seen to have no message to hand over: whatever it hands over later ends after what had come
  /// by then. That clears what is never handed over, as CURVE's handshake and heartbeats, with the next message.
  void settle() noexcept;

  /// As of the last sample(). May be more than it is, by what settle() would clear.
  [[nodiscard]] std::size_t held() const noexcept {
    const std::uint64_t read = received_ - queued_;
    return read > taken_ ? read - taken_ : 0;
  }

 private:
  void ask() noexcept;

  int descriptor_ = -1;
  Clock::time_point unfinished_since_ = Clock::now();
  std::uint64_t received_ = 0;
  std::uint64_t queued_ = 0;   ///< of these, in the kernel
  std::uint64_t taken_ = 0;    ///< no message that was handed over ends before this one does
  std::uint64_t settled_ = 0;  ///< every message that ends up to here has been handed over
};

}  // namespace allium::control
