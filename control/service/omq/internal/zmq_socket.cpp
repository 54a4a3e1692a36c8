// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zmq_socket.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>

#include "control/service/omq/internal/input_tally.hpp"
#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

using boost::asio::ip::tcp;

std::string zmq_name(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string host = endpoint.address().is_v6() ? "[" + address + "]" : address;
  return "tcp://" + host + ":" + std::to_string(endpoint.port());
}

class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }

  ~Frame() { zmq_msg_close(&message_); }

  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  [[nodiscard]] bool receive(void* socket) {
    int result = 0;
    do {
      result = zmq_msg_recv(&message_, socket, ZMQ_DONTWAIT);
    } while (result < 0 && errno == EINTR);
    return result >= 0;
  }

  [[nodiscard]] std::string text() {
    return {static_cast<const char*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }

  [[nodiscard]] std::size_t bytes() const { return zmq_msg_size(&message_); }

  [[nodiscard]] bool has_more() const { return zmq_msg_more(&message_) != 0; }

 private:
  zmq_msg_t message_{};
};

int send_frame(void* socket, const std::string& frame, bool has_more) {
  const int flags = ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0);
  int result = 0;
  do {
    result = zmq_send(socket, frame.data(), frame.size(), flags);
  } while (result < 0 && errno == EINTR);
  return result;
}

struct CountedFrame {
  std::string text;
  std::shared_ptr<PipeTally> pipe;
};

void free_counted(void* /*data*/, void* frame) {
  const std::unique_ptr<CountedFrame> owned(static_cast<CountedFrame*>(frame));
  owned->pipe->taken(PipeTally::counted_bytes(owned->text.size()));
}

/// Not copied: libzmq says when it is done with it.
int send_counted(void* socket, std::string frame, bool has_more,
                 const std::shared_ptr<PipeTally>& pipe) {
  pipe->put(PipeTally::counted_bytes(frame.size()));
  auto* counted = new CountedFrame{std::move(frame), pipe};
  zmq_msg_t message;
  ALLIUM_CHECK(zmq_msg_init_data(&message, counted->text.data(), counted->text.size(), free_counted,
                                 counted) == 0);
  const int flags = ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0);
  int result = 0;
  do {
    result = zmq_msg_send(&message, socket, flags);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    const int reason = errno;
    zmq_msg_close(&message);
    errno = reason;
  }
  return result;
}

}  // namespace

ZmqContext::ZmqContext(int sockets_max) : context_(zmq_ctx_new()) {
  ALLIUM_CHECK(context_ != nullptr);
  ALLIUM_CHECK(zmq_ctx_set(context_, ZMQ_MAX_SOCKETS, sockets_max) == 0);
}

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && errno == EINTR) {
  }
}

Result<std::shared_ptr<ZmqSocket>> ZmqSocket::make(boost::asio::io_context& io,
                                                   const ZmqContext& context, int type) {
  void* socket = zmq_socket(context.get(), type);
  if (socket == nullptr) {
    return fail(Errc::io, std::string("no ZeroMQ socket: ") + zmq_strerror(errno));
  }
  int descriptor = -1;
  std::size_t length = sizeof descriptor;
  ALLIUM_CHECK(zmq_getsockopt(socket, ZMQ_FD, &descriptor, &length) == 0);
  std::shared_ptr<ZmqSocket> made(new ZmqSocket(io, socket, descriptor));
  made->set(ZMQ_LINGER, 0);
  return made;
}

ZmqSocket::ZmqSocket(boost::asio::io_context& io, void* socket, int descriptor)
    : socket_(socket), descriptor_(io, descriptor), self_(std::make_shared<ZmqSocket*>(this)) {}

ZmqSocket::~ZmqSocket() {
  close();
}

void ZmqSocket::close() {
  if (socket_ != nullptr) {
    self_.reset();
    descriptor_.release();  // ZeroMQ closes it
    zmq_close(std::exchange(socket_, nullptr));
  }
}

void ZmqSocket::set(int option, int value) {
  ALLIUM_CHECK(zmq_setsockopt(socket_, option, &value, sizeof value) == 0);
}

void ZmqSocket::set(int option, Bytes value) {
  ALLIUM_CHECK(zmq_setsockopt(socket_, option, value.data(), value.size()) == 0);
}

void ZmqSocket::set_max_message_bytes(std::int64_t bytes) {
  ALLIUM_CHECK(zmq_setsockopt(socket_, ZMQ_MAXMSGSIZE, &bytes, sizeof bytes) == 0);
}

void ZmqSocket::connect(const tcp::endpoint& endpoint) {
  ALLIUM_CHECK(zmq_connect(socket_, zmq_name(endpoint).c_str()) == 0);
}

void ZmqSocket::connect_inside(const char* name) {
  ALLIUM_CHECK(zmq_connect(socket_, name) == 0);
}

void ZmqSocket::monitor(const char* name, int events) {
  ALLIUM_CHECK(zmq_socket_monitor(socket_, name, events) == 0);
}

void ZmqSocket::stop_monitor() {
  ALLIUM_CHECK(zmq_socket_monitor(socket_, nullptr, 0) == 0);
}

void ZmqSocket::watch(std::function<void()> drain) {
  drain_ = std::make_shared<std::function<void()>>(std::move(drain));
  wait();
  drain_soon();  // what came before has made no new sign
}

void ZmqSocket::wait() {
  descriptor_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [self = std::weak_ptr<ZmqSocket*>(self_)](const boost::system::error_code& error) {
        const std::shared_ptr<ZmqSocket*> socket = self.lock();
        if (error || !socket) {
          return;
        }
        // Armed before the drain: a sign that comes during it is not lost.
        (*socket)->wait();
        const std::shared_ptr<std::function<void()>> drain = (*socket)->drain_;
        (*drain)();
      });
}

void ZmqSocket::drain_soon() {
  if (std::exchange(is_drain_posted_, true)) {
    return;
  }
  boost::asio::post(descriptor_.get_executor(), [self = std::weak_ptr<ZmqSocket*>(self_)] {
    if (const std::shared_ptr<ZmqSocket*> socket = self.lock()) {
      (*socket)->is_drain_posted_ = false;
      const std::shared_ptr<std::function<void()>> drain = (*socket)->drain_;
      (*drain)();
    }
  });
}

bool ZmqSocket::has_input() {
  int events = 0;
  std::size_t length = sizeof events;
  ALLIUM_CHECK(zmq_getsockopt(socket_, ZMQ_EVENTS, &events, &length) == 0);
  return (events & ZMQ_POLLIN) != 0;
}

bool ZmqSocket::receive_frame(ZmqReceived& message, const ZmqBounds& bounds, std::size_t& bytes) {
  Frame frame;
  // Parts of a message arrive together: after the first there is always the next.
  ALLIUM_CHECK(frame.receive(socket_));
  bytes += frame.bytes();
  message.wire_bytes += InputTally::wire_bytes(frame.bytes());
  if (message.frames.size() == bounds.frames || bytes > bounds.bytes) {
    message.is_oversized = true;
  } else {
    message.frames.push_back(frame.text());
  }
  return frame.has_more();
}

std::optional<ZmqReceived> ZmqSocket::receive(const ZmqBounds& bounds) {
  if (!has_input()) {
    return std::nullopt;
  }
  ZmqReceived message;
  std::size_t bytes = 0;
  while (receive_frame(message, bounds, bytes)) {
  }
  return message;
}

ZmqSent ZmqSocket::send(std::span<std::string> frames, const std::shared_ptr<PipeTally>& pipe) {
  ALLIUM_CHECK(!frames.empty());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    // The first is copied: where there is no room it is wanted still.
    const bool is_counted = i > 0 && frames[i].size() > PipeTally::kCopiedBytesMax;
    const bool has_more = i + 1 < frames.size();
    const int result = is_counted ? send_counted(socket_, std::move(frames[i]), has_more, pipe)
                                  : send_frame(socket_, frames[i], has_more);
    if (result < 0) {
      // A pipe that takes the first frame has room for the rest; later it can only have died.
      return errno == EAGAIN && i == 0 ? ZmqSent::full : ZmqSent::gone;
    }
  }
  return ZmqSent::sent;
}

}  // namespace allium::control
