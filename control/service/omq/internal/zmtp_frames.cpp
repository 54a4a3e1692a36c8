// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zmtp_frames.hpp"

#include <algorithm>
#include <utility>

namespace allium::control {

namespace {

constexpr std::uint8_t kMore = 1;
constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommand = 4;
constexpr std::size_t kShortHeader = 2;
constexpr std::size_t kLongHeader = 9;
constexpr std::size_t kShortBytesMax = 255;

// A quiet connection keeps no more.
constexpr std::size_t kKeptBytes = 1024;

constexpr std::string_view kSignature{"\xff\0\0\0\0\0\0\0\0\x7f", 10};
constexpr std::uint8_t kMajor = 3;
constexpr std::uint8_t kMinor = 1;
constexpr std::size_t kMechanismAt = 12;
constexpr std::size_t kMechanismBytes = 20;
constexpr std::string_view kCurve = "CURVE";

}  // namespace

std::string zmtp_greeting() {
  std::string greeting(kSignature);
  greeting += {static_cast<char>(kMajor), static_cast<char>(kMinor)};
  greeting += kCurve;
  greeting.resize(kMechanismAt + kMechanismBytes, '\0');
  greeting += '\1';  // as the server
  greeting.resize(kZmtpGreetingBytes, '\0');
  return greeting;
}

bool is_zmtp_greeting(Bytes greeting) noexcept {
  const auto mechanism = greeting.subspan(kMechanismAt, kMechanismBytes);
  const auto* rest = mechanism.data() + kCurve.size();
  return greeting[0] == 0xff && (greeting[9] & 1) != 0 && greeting[10] >= kMajor &&
         std::equal(kCurve.begin(), kCurve.end(), mechanism.begin()) &&
         std::all_of(rest, mechanism.data() + mechanism.size(),
                     [](std::uint8_t byte) { return byte == 0; });
}

std::string zmtp_frame_header(std::size_t bytes, bool is_command) {
  const bool is_long = bytes > kShortBytesMax;
  std::string header(is_long ? kLongHeader : kShortHeader, '\0');
  header[0] = static_cast<char>((is_command ? kCommand : 0) | (is_long ? kLong : 0));
  store_be(reinterpret_cast<std::uint8_t*>(header.data()) + 1, bytes, header.size() - 1);
  return header;
}

Bytes ZmtpReader::rest() const noexcept {
  return Bytes(bytes_).subspan(taken_);
}

void ZmtpReader::forget_taken() {
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(taken_));
  taken_ = 0;
  if (bytes_.empty() && bytes_.capacity() > kKeptBytes) {
    bytes_ = std::vector<std::uint8_t>();  // "= {}" would keep the memory
  }
}

void ZmtpReader::put(Bytes bytes) {
  forget_taken();
  const std::size_t size = bytes_.size() + bytes.size();
  if (size > bytes_.capacity()) {
    // Twice as much as has come at most, and no more than the frame takes.
    const std::size_t whole = std::max(bytes_.size() + missing_, size);
    bytes_.reserve(std::min(std::max(2 * bytes_.size(), size), whole));
  }
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

std::optional<Bytes> ZmtpReader::take_greeting() {
  if (rest().size() < kZmtpGreetingBytes) {
    return std::nullopt;
  }
  const Bytes greeting = rest().first(kZmtpGreetingBytes);
  taken_ += kZmtpGreetingBytes;
  return greeting;
}

std::optional<ZmtpFrame> ZmtpReader::take_frame(std::size_t bytes_max) {
  missing_ = 0;
  if (is_broken_ || rest().empty()) {
    forget_taken();
    return std::nullopt;
  }
  const std::uint8_t flags = rest()[0];
  const std::size_t header = (flags & kLong) != 0 ? kLongHeader : kShortHeader;
  if ((flags & ~(kMore | kLong | kCommand)) != 0) {
    is_broken_ = true;
    return std::nullopt;
  }
  if (rest().size() < header) {
    return std::nullopt;
  }
  const std::uint64_t length = load_be(rest().data() + 1, header - 1);
  if (length > bytes_max) {
    is_broken_ = true;
    return std::nullopt;
  }
  if (rest().size() < header + length) {
    missing_ = header + length - rest().size();
    return std::nullopt;
  }
  ZmtpFrame frame{.is_command = (flags & kCommand) != 0,
                  .body = std::span(bytes_).subspan(taken_ + header, length)};
  taken_ += header + length;
  return frame;
}

}  // namespace allium::control
