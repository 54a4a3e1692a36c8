// SPDX-License-Identifier: Apache-2.0
#include "control/service/encoding.hpp"

#include <algorithm>

#include <openssl/evp.h>
#include <sodium.h>

namespace allium::control {

namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<std::string> strict_base64(std::string_view text) {
  // libsodium 1.0.18 takes a byte beyond ASCII for a slash.
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; })) {
    return std::nullopt;
  }
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  std::size_t count = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                        text.size(), nullptr, &count, nullptr,
                        sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0) {
    return std::nullopt;
  }
  bytes.resize(count);
  return bytes;
}

/// Two characters have four bits more than their byte, three have two more than their bytes. Peers do not look at those, and
/// clients count on it; libsodium wants them 0.
void clear_spare_bits(std::string& last_group) {
  if (last_group.size() < 2) {
    return;
  }
  const std::size_t spare = last_group.size() == 2 ? 0xf : 0x3;
  if (const std::size_t digit = kBase64Alphabet.find(last_group.back());
      digit != std::string_view::npos) {
    last_group.back() = kBase64Alphabet[digit & ~spare];
  }
}

}  // namespace

std::string to_hex(Bytes bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  std::string bytes(text.size() / 2, '\0');
  std::size_t count = 0;
  if (text.size() % 2 != 0 ||
      sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(),
                     text.size(), nullptr, &count, nullptr) != 0 ||
      count != bytes.size()) {
    return std::nullopt;
  }
  return bytes;
}

std::string to_base64(Bytes bytes, Padding padding) {
  // OpenSSL's: libsodium's takes constant time, and was half of what a page of messages cost. Nothing here is a secret.
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  if (padding == Padding::without) {
    text.resize((bytes.size() * 4 + 2) / 3);
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) {
      text.remove_suffix(1);
    }
  }
  const std::size_t whole = text.size() / 4 * 4;
  std::optional<std::string> bytes = strict_base64(text.substr(0, whole));
  std::string rest(text.substr(whole));
  clear_spare_bits(rest);
  const std::optional<std::string> last_bytes = strict_base64(rest);
  if (!bytes || !last_bytes) {
    return std::nullopt;
  }
  return *std::move(bytes) + *last_bytes;
}

std::string_view beginning_of(std::string_view text, std::size_t bytes_max) noexcept {
  if (text.size() <= bytes_max) {
    return text;
  }
  const auto goes_on = [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
  };
  while (bytes_max > 0 && goes_on(text[bytes_max])) {
    --bytes_max;
  }
  return text.substr(0, bytes_max);
}

}  // namespace allium::control
