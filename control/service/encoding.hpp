// SPDX-License-Identifier: Apache-2.0
#pragma once

// Bytes as text, the ways Session's protocol writes them: lower-case hex and base64 (RFC 4648).
//
//   Errors   nullopt: not that encoding.
//   Threads  reentrant.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "crypto_accel/base/bytes.hpp"

namespace allium::control {

enum class Padding : std::uint8_t { with, without };

[[nodiscard]] std::string to_hex(Bytes bytes);

/// Either case.
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);

[[nodiscard]] std::string to_base64(Bytes bytes, Padding padding = Padding::with);

/// With or without padding; the bits of a last character that belong to no byte may be anything.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

/// At most so many bytes of a text in UTF-8, and no part of a character.
[[nodiscard]] std::string_view beginning_of(std::string_view text, std::size_t bytes_max) noexcept;

/// Characters and bytes are the same thing to Session's protocol.
[[nodiscard]] inline Bytes bytes_of(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

[[nodiscard]] inline std::string_view text_of(Bytes bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The array of exactly N bytes. nullopt: another length.
template <std::size_t N>
[[nodiscard]] std::optional<std::array<std::uint8_t, N>> array_of(std::string_view bytes) noexcept {
  if (bytes.size() != N) {
    return std::nullopt;
  }
  std::array<std::uint8_t, N> result;
  std::memcpy(result.data(), bytes.data(), N);
  return result;
}

}  // namespace allium::control
