// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/curve_server.hpp"

#include <algorithm>
#include <cstring>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

// Commands begin with the length of their name.
constexpr std::string_view kHello{"\x05HELLO\x01\x00", 8};  // and the version of CurveZMQ
constexpr std::string_view kWelcome = "\x07WELCOME";
constexpr std::string_view kInitiate = "\x08INITIATE";
constexpr std::string_view kReady = "\x05READY";
constexpr std::string_view kMessage = "\x07MESSAGE";

constexpr std::string_view kHelloNonce = "CurveZMQHELLO---";
constexpr std::string_view kWelcomeNonce = "WELCOME-";
constexpr std::string_view kInitiateNonce = "CurveZMQINITIATE";
constexpr std::string_view kVouchNonce = "VOUCH---";
constexpr std::string_view kReadyNonce = "CurveZMQREADY---";
constexpr std::string_view kClientNonce = "CurveZMQMESSAGEC";
constexpr std::string_view kServerNonce = "CurveZMQMESSAGES";

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kMacBytes = crypto_box_MACBYTES;
constexpr std::size_t kShortNonce = 8;  // a count, behind a name of 16 bytes
constexpr std::size_t kLongNonce = 16;  // random, behind a name of 8 bytes
constexpr std::size_t kHelloPadding = 72;
constexpr std::size_t kHelloZeros = 64;
constexpr std::size_t kHelloBytes =
    kHello.size() + kHelloPadding + kKeyBytes + kShortNonce + kMacBytes + kHelloZeros;
constexpr std::size_t kVouchBytes = kMacBytes + 2 * kKeyBytes;

constexpr std::uint8_t kMore = 1;
constexpr std::uint8_t kCommand = 2;

using Nonce = std::array<std::uint8_t, crypto_box_NONCEBYTES>;

Nonce nonce_of(std::string_view name, Bytes rest) {
  Nonce nonce{};
  ALLIUM_CHECK(name.size() + rest.size() == nonce.size());
  std::copy(rest.begin(), rest.end(), std::copy(name.begin(), name.end(), nonce.begin()));
  return nonce;
}

Nonce nonce_of(std::string_view name, std::uint64_t count) {
  std::array<std::uint8_t, kShortNonce> bytes{};
  store_be(bytes.data(), count, bytes.size());
  return nonce_of(name, bytes);
}

bool begins_with(Bytes command, std::string_view name) {
  return command.size() >= name.size() && std::equal(name.begin(), name.end(), command.begin());
}

/// The authenticator stands first. In place, behind it.
std::optional<std::span<std::uint8_t>> open_box(std::span<std::uint8_t> box, const Nonce& nonce,
                                                const Secret<32>& shared) {
  if (box.size() < kMacBytes) {
    return std::nullopt;
  }
  const std::span<std::uint8_t> text = box.subspan(kMacBytes);
  const bool is_good =
      crypto_box_open_detached_afternm(text.data(), text.data(), box.data(), text.size(),
                                       nonce.data(), shared.data()) == 0;
  return is_good ? std::optional(text) : std::nullopt;
}

/// Where it lies in `to`: its authenticator, then `text` sealed in place.
void seal_box(std::string& to, std::size_t mac_at, const Nonce& nonce, const Secret<32>& shared) {
  auto* mac = reinterpret_cast<std::uint8_t*>(to.data()) + mac_at;
  const std::size_t bytes = to.size() - mac_at - kMacBytes;
  ALLIUM_CHECK(crypto_box_detached_afternm(mac + kMacBytes, mac, mac + kMacBytes, bytes,
                                           nonce.data(), shared.data()) == 0);
}

std::string property(std::string_view name, std::string_view value) {
  std::string text(1, static_cast<char>(name.size()));
  text += name;
  text.append(3, '\0');
  text += static_cast<char>(value.size());
  return text.append(value);
}

/// False: a key that anybody could have made without a secret one.
bool agree(Secret<32>& shared, const std::uint8_t* key, const Secret<32>& secret) {
  return crypto_box_beforenm(shared.data(), key, secret.data()) == 0;
}

}  // namespace

std::optional<std::string> CurveServer::welcome(Bytes hello) {
  if (hello.size() != kHelloBytes || !begins_with(hello, kHello)) {
    return std::nullopt;
  }
  std::copy_n(hello.data() + kHello.size() + kHelloPadding, kKeyBytes, client_.data());
  const Bytes count = hello.subspan(kHello.size() + kHelloPadding + kKeyBytes, kShortNonce);
  const Bytes box = hello.last(kMacBytes + kHelloZeros);
  std::array<std::uint8_t, kMacBytes + kHelloZeros> opened{};
  std::copy(box.begin(), box.end(), opened.begin());
  Secret<32> first;
  if (!agree(first, client_.data(), server_.secret) ||
      !open_box(opened, nonce_of(kHelloNonce, count), first) ||
      !is_next(load_be(count.data(), count.size()))) {
    return std::nullopt;
  }

  X25519Key own_key{};
  ALLIUM_CHECK(crypto_box_keypair(own_key.data(), own_.data()) == 0);
  randombytes_buf(cookie_.data(), cookie_.size());
  std::array<std::uint8_t, kLongNonce> random{};
  randombytes_buf(random.data(), random.size());
  std::string command(kWelcome);
  command.append(random.begin(), random.end());
  const std::size_t mac_at = command.size();
  command.append(kMacBytes, '\0');
  command.append(own_key.begin(), own_key.end());
  command.append(cookie_.begin(), cookie_.end());
  seal_box(command, mac_at, nonce_of(kWelcomeNonce, random), first);
  return command;
}

std::optional<X25519Key> CurveServer::initiated_by(std::span<std::uint8_t> initiate) {
  constexpr std::size_t kBoxAt = kInitiate.size() + kCookieBytes + kShortNonce;
  if (initiate.size() < kBoxAt || initiate.size() > kCurveInitiateBytesMax ||
      !begins_with(initiate, kInitiate) ||
      !equal(initiate.data() + kInitiate.size(), cookie_.data(), kCookieBytes)) {
    return std::nullopt;
  }
  const Bytes count = initiate.subspan(kBoxAt - kShortNonce, kShortNonce);
  if (!agree(shared_, client_.data(), own_) || !is_next(load_be(count.data(), count.size()))) {
    return std::nullopt;
  }
  const auto opened = open_box(initiate.subspan(kBoxAt), nonce_of(kInitiateNonce, count), shared_);
  if (!opened || opened->size() < kKeyBytes + kLongNonce + kVouchBytes) {
    return std::nullopt;
  }
  X25519Key key{};
  std::copy_n(opened->data(), key.size(), key.data());
  // The long-term key vouches for that of the connection, and for this server.
  Secret<32> vouching;
  if (!agree(vouching, key.data(), own_)) {
    return std::nullopt;
  }
  const auto vouch =
      open_box(opened->subspan(kKeyBytes + kLongNonce, kVouchBytes),
               nonce_of(kVouchNonce, opened->subspan(kKeyBytes, kLongNonce)), vouching);
  own_.clear();
  const bool is_vouched = vouch && equal(vouch->data(), client_.data(), client_.size()) &&
                          equal(vouch->data() + kKeyBytes, server_.key.data(), server_.key.size());
  return is_vouched ? std::optional(key) : std::nullopt;
}

std::string CurveServer::ready() {
  const Nonce nonce = nonce_of(kReadyNonce, ++sent_nonce_);
  std::string command(kReady);
  command.append(nonce.end() - kShortNonce, nonce.end());
  const std::size_t mac_at = command.size();
  command.append(kMacBytes, '\0');
  command += property("Socket-Type", "ROUTER") + property("Identity", "");
  seal_box(command, mac_at, nonce, shared_);
  return command;
}

/// No message comes twice, and none out of its turn.
bool CurveServer::is_next(std::uint64_t nonce) noexcept {
  const bool is_it = nonce > received_nonce_;
  received_nonce_ = is_it ? nonce : received_nonce_;
  return is_it;
}

std::optional<CurveMessage> CurveServer::open(std::span<std::uint8_t> message) {
  if (message.size() < kCurveMessageOverhead || !begins_with(message, kMessage)) {
    return std::nullopt;
  }
  const Bytes count = message.subspan(kMessage.size(), kShortNonce);
  const auto text = open_box(message.subspan(kMessage.size() + kShortNonce),
                             nonce_of(kClientNonce, count), shared_);
  if (!text || !is_next(load_be(count.data(), count.size()))) {
    return std::nullopt;
  }
  const std::uint8_t flags = text->front();
  return CurveMessage{.has_more = (flags & kMore) != 0,
                      .is_command = (flags & kCommand) != 0,
                      .text = text->subspan(1)};
}

void CurveServer::seal(std::string_view text, bool has_more, bool is_command, std::string& to) {
  const Nonce nonce = nonce_of(kServerNonce, ++sent_nonce_);
  to += kMessage;
  to.append(nonce.end() - kShortNonce, nonce.end());
  const std::size_t mac_at = to.size();
  to.append(kMacBytes, '\0');
  to += static_cast<char>((has_more ? kMore : 0) | (is_command ? kCommand : 0));
  to += text;
  seal_box(to, mac_at, nonce, shared_);
}

}  // namespace allium::control
