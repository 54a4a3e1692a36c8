// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/input_tally.hpp"

// Not netinet/tcp.h, whose tcp_info has no count of bytes.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace allium::control {

namespace {

constexpr std::size_t kShortFrameBytesMax = 255;
constexpr std::size_t kShortHeader = 2;
constexpr std::size_t kLongHeader = 9;
constexpr std::size_t kNothingBytes = 16UL * 1024;
constexpr std::size_t kCurveMessage = 8 + 8 + 16 + 1;  // name, nonce, authenticator, flags

}  // namespace

std::size_t InputTally::wire_bytes(std::size_t bytes) noexcept {
  const std::size_t body = bytes + kCurveMessage;
  return body + (body <= kShortFrameBytesMax ? kShortHeader : kLongHeader);
}

void InputTally::took(std::size_t bytes) noexcept {
  taken_ = std::max(taken_ + bytes, settled_);
  unfinished_since_ = Clock::now();
}

void InputTally::settle() noexcept {
  settled_ = received_ - queued_;
}

void InputTally::ask() noexcept {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (descriptor_ < 0 || ::getsockopt(descriptor_, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
    return;
  }
  if (info.tcpi_bytes_received <= received_ && queued_ == 0) {
    return;
  }
  received_ = std::max<std::uint64_t>(received_, info.tcpi_bytes_received);
  int queued = 0;
  // After the count: what comes in between is not counted yet, and settle() takes it off all the same, which errs to the safe side.
  queued_ = ::ioctl(descriptor_, FIONREAD, &queued) == 0
                ? std::min<std::uint64_t>(static_cast<std::uint64_t>(queued), received_)
                : 0;
}

void InputTally::sample() noexcept {
  if (held() <= kNothingBytes) {
    unfinished_since_ = Clock::now();
  }
  ask();
}

}  // namespace allium::control
