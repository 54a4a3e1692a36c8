// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/omq/raw_zmtp_client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <sodium.h>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control::test {

namespace {

constexpr std::size_t kGreetingBytes = 64;
constexpr std::uint8_t kMessageMore = 1;
constexpr std::uint8_t kMessageCommand = 2;
constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommand = 4;

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

std::string property(std::string_view name, std::string_view value) {
  std::string length(4, '\0');
  store_be(bytes(length), value.size(), length.size());
  return static_cast<char>(name.size()) + std::string(name) + length + std::string(value);
}

std::string framed(std::uint8_t flags, std::string_view body) {
  std::string length(body.size() > 255 ? 8 : 1, '\0');
  store_be(bytes(length), body.size(), length.size());
  const bool is_long = length.size() > 1;
  return static_cast<char>(flags | (is_long ? kLong : 0)) + length + std::string(body);
}

}  // namespace

RawZmtpClient::RawZmtpClient(boost::asio::io_context& io, const tcp::endpoint& endpoint,
                             const X25519Key& server)
    : socket_(io), session_(key_pair(77)) {
  socket_.connect(endpoint);
  socket_.set_option(tcp::no_delay(true));
  std::string greeting = "\xff" + std::string(8, '\0') + "\x7f\x03\x01" + "CURVE";
  greeting.resize(kGreetingBytes, '\0');
  write(greeting);
  static_cast<void>(read(io, kGreetingBytes));

  const std::string hello = next_nonce();
  write(framed(kCommand, "\x05HELLO\x01" + std::string(73, '\0') + text_of(session_.key) + hello +
                             boxed(std::string(64, '\0'), "CurveZMQHELLO---" + hello, server,
                                   session_.secret)));
  const std::string welcome = read_frame(io);
  ALLIUM_CHECK(welcome.size() == 168 && welcome.starts_with("\x07WELCOME"));
  std::string opened(32 + 96, '\0');
  const std::string nonce = "WELCOME-" + welcome.substr(8, 16);
  ALLIUM_CHECK(crypto_box_open_easy(bytes(opened), bytes(welcome) + 24, welcome.size() - 24,
                                    bytes(nonce), server.data(), session_.secret.data()) == 0);
  std::copy(opened.begin(), opened.begin() + 32, server_.begin());

  const KeyPair own = key_pair(78);
  const std::string vouch_nonce(16, 'v');
  const std::string vouch =
      boxed(text_of(session_.key) + text_of(server), "VOUCH---" + vouch_nonce, server_, own.secret);
  const std::string initiate = next_nonce();
  write(framed(kCommand, "\x08INITIATE" + opened.substr(32) + initiate +
                             boxed(text_of(own.key) + vouch_nonce + vouch +
                                       property("Socket-Type", "DEALER") + property("Identity", ""),
                                   "CurveZMQINITIATE" + initiate, server_, session_.secret)));
  ALLIUM_CHECK(read_frame(io).starts_with("\x05READY"));
}

std::string RawZmtpClient::next_nonce() {
  std::string nonce(8, '\0');
  store_be(bytes(nonce), ++nonce_, nonce.size());
  return nonce;
}

std::string RawZmtpClient::sealed(std::uint8_t flags, std::string_view body) {
  const std::string nonce = next_nonce();
  return framed(0, "\x07MESSAGE" + nonce +
                       boxed(static_cast<char>(flags) + std::string(body),
                             "CurveZMQMESSAGEC" + nonce, server_, session_.secret));
}

std::string RawZmtpClient::message(const Frames& frames) {
  std::string all;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    all += sealed(i + 1 < frames.size() ? kMessageMore : 0, frames[i]);
  }
  return all;
}

std::string RawZmtpClient::ping() {
  return sealed(kMessageCommand, std::string("\x04PING\0\0", 7));
}

void RawZmtpClient::write(std::string_view text) {
  boost::asio::write(socket_, boost::asio::buffer(text.data(), text.size()));
}

void RawZmtpClient::reset() {
  socket_.set_option(boost::asio::socket_base::linger(true, 0));
  socket_.close();
}

std::string RawZmtpClient::read(boost::asio::io_context& io, std::size_t count) {
  ALLIUM_CHECK(run_until(io, [&] { return socket_.available() >= count; }));
  std::string text(count, '\0');
  ALLIUM_CHECK(boost::asio::read(socket_, boost::asio::buffer(text)) == count);
  return text;
}

std::string RawZmtpClient::read_frame(boost::asio::io_context& io) {
  const std::string head = read(io, 2);
  ALLIUM_CHECK((head[0] & kLong) == 0);
  return read(io, static_cast<std::uint8_t>(head[1]));
}

}  // namespace allium::control::test
