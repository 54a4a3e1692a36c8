// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/omq/curve_client.hpp"

#include <sodium.h>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control::test {

namespace {

constexpr std::size_t kNonceBytes = 8;

const std::uint8_t* bytes(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::uint8_t* bytes(std::string& text) {
  return reinterpret_cast<std::uint8_t*>(text.data());
}

std::string text_of(const X25519Key& key) {
  return {key.begin(), key.end()};
}

std::string boxed(const std::string& body, const std::string& nonce, const X25519Key& to,
                  const Secret<32>& from) {
  ALLIUM_CHECK(nonce.size() == crypto_box_NONCEBYTES);
  std::string box(body.size() + crypto_box_MACBYTES, '\0');
  ALLIUM_CHECK(crypto_box_easy(bytes(box), bytes(body), body.size(), bytes(nonce), to.data(),
                               from.data()) == 0);
  return box;
}

std::optional<std::string> unboxed(std::string_view box, const std::string& nonce,
                                   const X25519Key& from, const Secret<32>& to) {
  ALLIUM_CHECK(nonce.size() == crypto_box_NONCEBYTES);
  if (box.size() < crypto_box_MACBYTES) {
    return std::nullopt;
  }
  std::string text(box.size() - crypto_box_MACBYTES, '\0');
  const bool is_good = crypto_box_open_easy(bytes(text), bytes(box), box.size(), bytes(nonce),
                                            from.data(), to.data()) == 0;
  return is_good ? std::optional(text) : std::nullopt;
}

std::string property(std::string_view name, std::string_view value) {
  std::string length(4, '\0');
  store_be(bytes(length), value.size(), length.size());
  return static_cast<char>(name.size()) + std::string(name) + length + std::string(value);
}

}  // namespace

CurveClient::CurveClient(const X25519Key& server, const KeyPair& own)
    : server_(server), own_(own), session_(key_pair(77)) {}

std::string CurveClient::next_nonce() {
  std::string nonce(kNonceBytes, '\0');
  store_be(bytes(nonce), ++nonce_, nonce.size());
  return nonce;
}

std::string CurveClient::hello() {
  const std::string nonce = next_nonce();
  return "\x05HELLO\x01" + std::string(73, '\0') + text_of(session_.key) + nonce +
         boxed(std::string(64, '\0'), "CurveZMQHELLO---" + nonce, server_, session_.secret);
}

bool CurveClient::take_welcome(const std::string& command) {
  if (command.size() != 168 || !command.starts_with("\x07WELCOME")) {
    return false;
  }
  const auto opened =
      unboxed(command.substr(24), "WELCOME-" + command.substr(8, 16), server_, session_.secret);
  if (opened) {
    std::copy(opened->begin(), opened->begin() + 32, server_session_.begin());
    cookie_ = opened->substr(32);
  }
  return opened.has_value();
}

std::string CurveClient::initiate(std::string_view metadata) {
  const std::string vouch_nonce(16, 'v');
  const std::string vouch = boxed(text_of(session_.key) + text_of(server_),
                                  "VOUCH---" + vouch_nonce, server_session_, own_.secret);
  const std::string nonce = next_nonce();
  return "\x08INITIATE" + cookie_ + nonce +
         boxed(text_of(own_.key) + vouch_nonce + vouch + property("Socket-Type", "DEALER") +
                   property("Identity", "") + std::string(metadata),
               "CurveZMQINITIATE" + nonce, server_session_, session_.secret);
}

bool CurveClient::take_ready(const std::string& command) const {
  const std::size_t name = std::string_view("\x05READY").size();
  if (!command.starts_with("\x05READY") || command.size() < name + kNonceBytes) {
    return false;
  }
  const auto metadata = unboxed(command.substr(name + kNonceBytes),
                                "CurveZMQREADY---" + command.substr(name, kNonceBytes),
                                server_session_, session_.secret);
  return metadata && metadata->starts_with(property("Socket-Type", "ROUTER"));
}

std::string CurveClient::message(std::string_view text, bool has_more, bool is_command) {
  const std::string nonce = next_nonce();
  const auto flags = static_cast<char>((has_more ? 1 : 0) | (is_command ? 2 : 0));
  return "\x07MESSAGE" + nonce +
         boxed(flags + std::string(text), "CurveZMQMESSAGEC" + nonce, server_session_,
               session_.secret);
}

std::optional<std::string> CurveClient::open(const std::string& message) const {
  const std::size_t name = std::string_view("\x07MESSAGE").size();
  if (!message.starts_with("\x07MESSAGE") || message.size() < name + kNonceBytes) {
    return std::nullopt;
  }
  return unboxed(message.substr(name + kNonceBytes),
                 "CurveZMQMESSAGES" + message.substr(name, kNonceBytes), server_session_,
                 session_.secret);
}

}  // namespace allium::control::test
