// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/omq/raw_zmtp_client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control::test {

namespace {

constexpr std::size_t kGreetingBytes = 64;
constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommand = 4;

std::uint8_t* bytes(std::string& text) {
  return reinterpret_cast<std::uint8_t*>(text.data());
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
    : socket_(io), own_(key_pair(78)), curve_(server, own_) {
  socket_.connect(endpoint);
  socket_.set_option(tcp::no_delay(true));
  std::string greeting = "\xff" + std::string(8, '\0') + "\x7f\x03\x01" + "CURVE";
  greeting.resize(kGreetingBytes, '\0');
  write(greeting);
  static_cast<void>(read(io, kGreetingBytes));
  write(framed(kCommand, curve_.hello()));
  ALLIUM_CHECK(curve_.take_welcome(read_frame(io)));
  write(framed(kCommand, curve_.initiate()));
  ALLIUM_CHECK(curve_.take_ready(read_frame(io)));
}

std::string RawZmtpClient::message(const Frames& frames) {
  std::string all;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    all += framed(0, curve_.message(frames[i], i + 1 < frames.size(), false));
  }
  return all;
}

std::string RawZmtpClient::ping(std::string_view context) {
  return framed(0,
                curve_.message(std::string("\x04PING\0\0", 7) + std::string(context), false, true));
}

std::string RawZmtpClient::receive(boost::asio::io_context& io) {
  const auto opened = curve_.open(read_frame(io));
  ALLIUM_CHECK(opened.has_value());
  return *opened;
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
