// SPDX-License-Identifier: Apache-2.0
#pragma once

// The frames of messages that go out, and what bounds messages of both directions.
//
//   Units    bytes.
//   Threads  reentrant.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "control/service/omq/internal/zmq_socket.hpp"
#include "control/service/omq/omq_endpoint.hpp"
#include "control/service/omq/omq_message.hpp"

namespace allium::control {

inline constexpr std::string_view kReplyName = "REPLY";
inline constexpr ZmqBounds kMessageBounds{.frames = kOmqFramesMax, .bytes = kOmqMessageBytesMax};

/// What is let in as one frame: CURVE wraps one of the greatest size in a few bytes more.
inline constexpr std::int64_t kFrameBytesMax = kOmqMessageBytesMax + 1024;

/// Without a bound: where a pipe is full, a heartbeat behind its messages aborts the process if the connection ends meanwhile (README.md,
/// "Messages without end"). InputWatch bounds what comes in.
inline constexpr int kPipeInMessages = 0;

[[nodiscard]] std::size_t bytes_of(const OmqParts& parts) noexcept;

/// Within the bounds of a message, with the longest tag too.
[[nodiscard]] bool is_sendable(const std::string& command, const OmqParts& parts) noexcept;

/// `first`, then `parts`.
[[nodiscard]] OmqParts frames_of(std::initializer_list<std::string_view> first, OmqParts parts);

}  // namespace allium::control
