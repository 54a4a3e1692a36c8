// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/zmq_monitor.hpp"

#include <zmq.h>

#include <cstring>

#include "crypto_accel/base/check.hpp"

namespace allium::control {

namespace {

constexpr ZmqBounds kEventBounds{.frames = 16, .bytes = 4096};
constexpr int kCame = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED;

}  // namespace

Result<std::unique_ptr<ZmqMonitor>> ZmqMonitor::make(boost::asio::io_context& io,
                                                     const ZmqContext& context,
                                                     std::shared_ptr<ZmqSocket> of,
                                                     const std::string& name) {
  auto events = ZmqSocket::make(io, context, ZMQ_PAIR);
  if (!events) {
    return tl::unexpected<Error>(events.error());
  }
  const std::string address = "inproc://monitor-" + name;
  (*events)->set(ZMQ_RCVHWM, 0);
  of->monitor(address.c_str(), kCame | ZMQ_EVENT_DISCONNECTED);
  (*events)->connect_inside(address.c_str());
  return std::unique_ptr<ZmqMonitor>(new ZmqMonitor(std::move(of), std::move(*events)));
}

ZmqMonitor::~ZmqMonitor() {
  of_->stop_monitor();
}

std::optional<ZmqConnectionEvent> ZmqMonitor::next() {
  const std::optional<ZmqReceived> event = events_->receive(kEventBounds);
  if (!event) {
    return std::nullopt;
  }
  // Event 16 bit, value 32 bit, both as the machine has them.
  std::uint16_t kind = 0;
  std::int32_t descriptor = 0;
  const std::string& told = event->frames.front();
  ALLIUM_CHECK(told.size() == sizeof kind + sizeof descriptor);
  std::memcpy(&kind, told.data(), sizeof kind);
  std::memcpy(&descriptor, told.data() + sizeof kind, sizeof descriptor);
  return ZmqConnectionEvent{
      .kind = (kind & kCame) != 0 ? ZmqConnectionEvent::Kind::came : ZmqConnectionEvent::Kind::went,
      .descriptor = descriptor};
}

}  // namespace allium::control
