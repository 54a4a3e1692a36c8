// SPDX-License-Identifier: Apache-2.0
#pragma once

// How much of one connection's output has been given away and has not gone to the kernel yet. Of a connection of libzmq's: it does not say,
// but calls back when it is done with a frame that it did not copy, and that is what is counted here.
//
//   Units    bytes.
//   Threads  `taken` is called on libzmq's thread as well, everything else on the service thread.
//   Limits   frames of up to kCopiedBytesMax are copied for libzmq, whose pipe has room for so many messages and no more, and not counted.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <utility>

namespace allium::control {

class PipeTally {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kCopiedBytesMax = 64;

  /// What a frame takes of libzmq's memory.
  [[nodiscard]] static constexpr std::size_t counted_bytes(std::size_t frame_bytes) noexcept {
    return frame_bytes + 64;
  }

  /// `wake` is called after anything was taken, on the same thread, while somebody waits for that.
  explicit PipeTally(std::function<void()> wake) : wake_(std::move(wake)) {}

  PipeTally(const PipeTally&) = delete;
  PipeTally& operator=(const PipeTally&) = delete;

  /// So many bytes go into the pipe; of a frame that libzmq gets, counted_bytes().
  void put(std::size_t bytes) noexcept { in_pipe_ += bytes; }

  /// libzmq's thread has taken it to write it, or threw it away; or so many bytes have been written without libzmq.
  void taken(std::size_t bytes);

  [[nodiscard]] std::size_t in_pipe() const noexcept { return in_pipe_; }

  /// When anything was taken last.
  [[nodiscard]] Clock::time_point moved_at() const noexcept {
    return Clock::time_point(Clock::duration(moved_at_));
  }

  void set_waited_for(bool is_waited_for) noexcept { is_waited_for_ = is_waited_for; }

 private:
  std::function<void()> wake_;
  std::atomic<std::size_t> in_pipe_ = 0;
  std::atomic<Clock::rep> moved_at_ = 0;
  std::atomic<bool> is_waited_for_ = false;
};

}  // namespace allium::control
