// SPDX-License-Identifier: Apache-2.0
#pragma once

// One ZeroMQ socket on an io_context: its file descriptor watched, messages in and out without
// waiting.
//
//   Ownership  owns the socket; borrows the context of ZeroMQ and the io_context.
//   Errors     a socket that cannot be made, or a bad option, is our own mistake or a lack of
//              descriptors: Errc::io from `make`; ALLIUM_CHECK for options.
//   Threads    the service thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "control/service/omq/internal/pipe_tally.hpp"
#include "crypto_accel/base/bytes.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// How long a connection may take until CURVE has proved who is there, in either direction.
inline constexpr int kHandshakeMs = 10'000;

class ZmqContext {
 public:
  explicit ZmqContext(int sockets_max);
  ~ZmqContext();  ///< waits for libzmq's thread; every socket must be closed before
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;

  [[nodiscard]] void* get() const noexcept { return context_; }

 private:
  void* context_;
};

struct ZmqReceived {
  std::vector<std::string> frames;
  bool is_oversized =
      false;  ///< too many frames or bytes; `frames` was cut, the message is consumed
  std::size_t wire_bytes = 0;  ///< what it took of its TCP connection, inside CURVE
};

struct ZmqBounds {
  std::size_t frames;
  std::size_t bytes;
};

enum class ZmqSent : std::uint8_t { sent, full, gone };

class ZmqSocket {
 public:
  [[nodiscard]] static Result<std::shared_ptr<ZmqSocket>> make(boost::asio::io_context& io,
                                                               const ZmqContext& context, int type);

  ~ZmqSocket();
  ZmqSocket(const ZmqSocket&) = delete;
  ZmqSocket& operator=(const ZmqSocket&) = delete;

  void set(int option, int value);
  void set(int option, Bytes value);
  void set_max_message_bytes(std::int64_t bytes);

  void connect(const boost::asio::ip::tcp::endpoint& endpoint);
  void connect_inside(const char* name);
  void monitor(const char* name, int events);
  void stop_monitor();

  /// Calls `drain` when something may have happened. ZeroMQ's descriptor tells of changes, not of
  /// states: `drain` has to take everything, until `has_input` is false.
  void watch(std::function<void()> drain);

  /// Calls `drain` once from the io_context, soon: after a send, which may swallow the sign of a
  /// change.
  void drain_soon();

  /// Takes ZeroMQ's pending commands into account.
  [[nodiscard]] bool has_input();

  /// Nothing: no message is there.
  [[nodiscard]] std::optional<ZmqReceived> receive(const ZmqBounds& bounds);

  /// Takes the frames that are counted by `pipe` out of `frames`, unless it is full.
  [[nodiscard]] ZmqSent send(std::span<std::string> frames, const std::shared_ptr<PipeTally>& pipe);

  /// At once; nothing unsent leaves. After it nothing else may be called.
  void close();

  [[nodiscard]] bool is_open() const noexcept { return socket_ != nullptr; }

 private:
  ZmqSocket(boost::asio::io_context& io, void* socket, int descriptor);

  void wait();
  bool receive_frame(ZmqReceived& message, const ZmqBounds& bounds, std::size_t& bytes);

  void* socket_;
  boost::asio::posix::stream_descriptor descriptor_;
  std::shared_ptr<std::function<void()>> drain_;  ///< shared, since a drain may close its socket
  bool is_drain_posted_ = false;
  std::shared_ptr<ZmqSocket*>
      self_;  ///< what posted handlers watch, since they may outlive the socket
};

}  // namespace allium::control
