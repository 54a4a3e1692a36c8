// SPDX-License-Identifier: Apache-2.0
#pragma once

// ZMTP 3 on the wire (RFC 37): the greeting, and frames found in bytes as they come.
//
//   Units      bytes.
//   Ownership  ZmtpReader owns what has come and was not taken; a frame lies in it until the next call.
//   Errors     what is not ZMTP 3 with CURVE, or is too long: is_broken(), and nothing comes of it any more.
//   Threads    the owner's.
//   Limits     a frame's, which its owner says; memory grows with what has come, not with what was announced.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crypto_accel/base/bytes.hpp"

namespace allium::control {

inline constexpr std::size_t kZmtpGreetingBytes = 64;

/// A server's, of ZMTP 3.1 with CURVE.
[[nodiscard]] std::string zmtp_greeting();

/// A client's, of ZMTP 3 with CURVE. Requires kZmtpGreetingBytes.
[[nodiscard]] bool is_zmtp_greeting(Bytes greeting) noexcept;

/// What comes before a body of so many bytes.
[[nodiscard]] std::string zmtp_frame_header(std::size_t bytes, bool is_command);

struct ZmtpFrame {
  bool is_command = false;
  std::span<std::uint8_t> body;
};

class ZmtpReader {
 public:
  void put(Bytes bytes);

  /// The greeting, once. Nothing: it has not come yet.
  [[nodiscard]] std::optional<Bytes> take_greeting();

  /// The next frame, of at most so many bytes. Nothing: it has not come yet, or is_broken().
  [[nodiscard]] std::optional<ZmtpFrame> take_frame(std::size_t bytes_max);

  /// It is too long, or of no kind that there is.
  [[nodiscard]] bool is_broken() const noexcept { return is_broken_; }

  /// Nothing has come that was not taken.
  [[nodiscard]] bool is_empty() const noexcept { return taken_ == bytes_.size(); }

  /// How much of the frame that has begun is still to come. 0: none has, or its header is not here.
  [[nodiscard]] std::size_t missing() const noexcept { return missing_; }

  /// What this takes of memory.
  [[nodiscard]] std::size_t held() const noexcept { return bytes_.capacity(); }

 private:
  [[nodiscard]] Bytes rest() const noexcept;
  void forget_taken();

  std::vector<std::uint8_t> bytes_;
  std::size_t taken_ = 0;  ///< of bytes_
  std::size_t missing_ = 0;
  bool is_broken_ = false;
};

}  // namespace allium::control
