// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/omq/raw_peer.hpp"

#include <zmq.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include <sodium.h>

#include "crypto_accel/base/check.hpp"

namespace allium::control::test {

namespace {

std::string zmq_name(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return "tcp://" + (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(endpoint.port());
}

void set(void* socket, int option, int value) {
  ALLIUM_CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

}  // namespace

KeyPair key_pair(std::uint8_t seed) {
  KeyPair pair;
  pair.secret.bytes().fill(seed);
  ALLIUM_CHECK(crypto_scalarmult_base(pair.key.data(), pair.secret.data()) == 0);
  return pair;
}

std::string node_routing_id(const X25519Key& key) {
  return "L" + std::string(key.begin(), key.end());
}

bool run_until(boost::asio::io_context& io, const std::function<bool()>& is_done,
               std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!is_done()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    io.restart();
    io.run_for(std::chrono::milliseconds(1));
  }
  return true;
}

RawPeer::RawPeer() : context_(zmq_ctx_new()) {}

RawPeer::~RawPeer() {
  if (socket_ != nullptr) {
    zmq_close(socket_);
  }
  zmq_ctx_term(context_);
}

void RawPeer::open(int type, const KeyPair& own) {
  socket_ = zmq_socket(context_, type);
  ALLIUM_CHECK(socket_ != nullptr);
  set(socket_, ZMQ_LINGER, 0);
  set(socket_, ZMQ_IPV6, 1);
  set(socket_, ZMQ_SNDHWM, 0);
  set(socket_, ZMQ_RCVHWM, receive_bound_);
  set(socket_, ZMQ_RECONNECT_IVL, reconnect_ms_);
  ALLIUM_CHECK(zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, own.secret.data(), 32) == 0);
}

void RawPeer::connect(const tcp::endpoint& endpoint, const X25519Key& server, const KeyPair& own,
                      const std::string& routing_id) {
  open(ZMQ_DEALER, own);
  ALLIUM_CHECK(zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, own.key.data(), 32) == 0);
  ALLIUM_CHECK(zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, server.data(), 32) == 0);
  if (!routing_id.empty()) {
    ALLIUM_CHECK(zmq_setsockopt(socket_, ZMQ_ROUTING_ID, routing_id.data(), routing_id.size()) ==
                 0);
  }
  ALLIUM_CHECK(zmq_connect(socket_, zmq_name(endpoint).c_str()) == 0);
}

tcp::endpoint RawPeer::listen(const KeyPair& own) {
  open(ZMQ_ROUTER, own);
  set(socket_, ZMQ_CURVE_SERVER, 1);
  ALLIUM_CHECK(zmq_bind(socket_, "tcp://127.0.0.1:*") == 0);
  std::array<char, 256> name{};
  std::size_t length = name.size();
  ALLIUM_CHECK(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, name.data(), &length) == 0);
  const auto port = std::strtoul(std::strrchr(name.data(), ':') + 1, nullptr, 10);
  return {boost::asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(port)};
}

void RawPeer::send(const Frames& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const int flags = ZMQ_DONTWAIT | (i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
    ALLIUM_CHECK(zmq_send(socket_, frames[i].data(), frames[i].size(), flags) >= 0);
  }
}

std::optional<Frames> RawPeer::try_receive() {
  Frames frames;
  int has_more = 1;
  while (has_more != 0) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket_, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&message);
      return std::nullopt;
    }
    frames.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    has_more = zmq_msg_more(&message);
    zmq_msg_close(&message);
  }
  return frames;
}

Frames RawPeer::receive(boost::asio::io_context& io, std::chrono::milliseconds timeout) {
  std::optional<Frames> frames;
  run_until(
      io, [&] { return (frames = try_receive()).has_value(); }, timeout);
  return frames.value_or(Frames());
}

}  // namespace allium::control::test
