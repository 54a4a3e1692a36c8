// SPDX-License-Identifier: Apache-2.0
#include "control/service/omq/internal/incoming.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include "control/service/omq/internal/frames.hpp"

namespace allium::control {

namespace {

using boost::asio::ip::tcp;

// So that everybody has a turn within a second or two, also where thousands send without end.
constexpr std::chrono::microseconds kTurnTime{500};
constexpr std::size_t kReadBytes = 16UL * 1024;

constexpr std::chrono::milliseconds kHandshakeTime{kHandshakeMs};
constexpr std::size_t kPartBytes = 64;  // what a part costs beside its text

// Heartbeats (RFC 37).
constexpr std::string_view kPing = "\x04PING";
constexpr std::string_view kPong = "\x04PONG";
constexpr std::size_t kPingTimeToLive = 2;
constexpr std::size_t kPingContextMax = 16;
// Who does not read them gets no more.
constexpr std::size_t kPongsWaitingMax = 4096;

// What has been written is kept as long as it is less than what has not.
constexpr std::size_t kWrittenKept = 64UL * 1024;

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_for_later(const boost::system::error_code& error) {
  return error == boost::asio::error::would_block || error == boost::asio::error::try_again ||
         error == boost::asio::error::interrupted;
}

}  // namespace

Incoming::Incoming(tcp::socket socket, const boost::asio::ip::address& peer,
                   const OmqIdentity& identity, const Events& events,
                   std::shared_ptr<PipeTally> pipe)
    : socket_(std::move(socket)),
      address_(unmapped(peer)),
      block_(address_block(peer)),
      descriptor_(socket_.native_handle()),
      events_(&events),
      curve_(identity),
      handshake_timer_(socket_.get_executor()),
      output_(std::make_shared<Output>(std::move(pipe))) {
  output_->descriptor = descriptor_;
  output_->block = block_;
}

void Incoming::start() {
  handshake_timer_.expires_after(kHandshakeTime);
  handshake_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<Incoming> self = weak.lock();
    if (!error && self && self->stage_ != Stage::open) {
      self->end(self->stage_ != Stage::turned_away);
    }
  });
  put_command(zmtp_greeting());
  write();
  wait_readable();
}

void Incoming::close() {
  if (is_closed()) {
    return;
  }
  events_ = nullptr;
  handshake_timer_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  reader_ = {};
  parts_ = OmqParts();
  parts_bytes_ = 0;
  written_ = std::string();  // "= {}" would keep the memory
}

void Incoming::end(bool is_broken) {
  if (!is_closed()) {
    events_->ended(*this, is_broken);
  }
}

void Incoming::wait_readable() {
  socket_.async_wait(
      tcp::socket::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
        const std::shared_ptr<Incoming> self = weak.lock();
        if (self && !self->is_closed() && error != boost::asio::error::operation_aborted) {
          self->events_->readable(self);
        }
      });
}

bool Incoming::take_turn(std::span<std::uint8_t> scratch) {
  const Clock::time_point until = Clock::now() + kTurnTime;
  if (!take_frames(until)) {
    return !is_closed();
  }
  if (is_closed() || stage_ == Stage::turned_away) {
    return false;
  }
  const std::size_t wanted =
      reader_.missing() > kReadBytes ? scratch.size() : std::min(kReadBytes, scratch.size());
  boost::system::error_code error;
  const std::size_t count = socket_.read_some(boost::asio::buffer(scratch.data(), wanted), error);
  if (error && !is_for_later(error)) {
    end();
    return false;
  }
  if (count > 0) {
    if (is_idle()) {
      unfinished_since_ = Clock::now();
    }
    reader_.put(scratch.first(count));
    if (!take_frames(until)) {
      return !is_closed();
    }
  }
  if (is_closed() || stage_ == Stage::turned_away) {
    return false;
  }
  if (count == wanted) {
    return true;
  }
  wait_readable();
  return false;
}

/// False: there may be more.
bool Incoming::take_frames(Clock::time_point until) {
  if (stage_ == Stage::greeting && !take_greeting()) {
    return true;
  }
  while (!is_closed() && stage_ != Stage::turned_away) {
    const bool is_open = stage_ == Stage::open;
    const auto frame = reader_.take_frame(is_open ? kFrameBytesMax : kCurveInitiateBytesMax);
    if (!frame && !reader_.is_broken()) {
      return true;
    }
    if (!frame || !(is_open ? take_message(*frame) : take_handshake(*frame))) {
      end(true);
      return true;
    }
    if (Clock::now() >= until) {
      return false;
    }
  }
  return true;
}

/// False: there are no frames yet, or it has ended.
bool Incoming::take_greeting() {
  const auto greeting = reader_.take_greeting();
  if (!greeting) {
    return false;
  }
  if (!is_zmtp_greeting(*greeting)) {
    end(true);
    return false;
  }
  stage_ = Stage::hello;
  return true;
}

/// False: it is no honest client's.
bool Incoming::take_handshake(const ZmtpFrame& frame) {
  if (!frame.is_command) {
    return false;
  }
  if (stage_ == Stage::hello) {
    const auto welcome = curve_.welcome(frame.body);
    if (welcome) {
      put_command(zmtp_frame_header(welcome->size(), true) + *welcome);
      write();
      stage_ = Stage::initiate;
    }
    return welcome.has_value();
  }
  key_ = curve_.initiated_by(frame.body);
  if (!key_) {
    return false;
  }
  if (!events_->admit(*this, *key_)) {
    // It is left until its time for a handshake is over: a client of libzmq would be back at once.
    stage_ = Stage::turned_away;
    return true;
  }
  const std::string ready = curve_.ready();
  put_command(zmtp_frame_header(ready.size(), true) + ready);
  write();
  stage_ = Stage::open;
  handshake_timer_.cancel();
  return true;
}

bool Incoming::take_message(const ZmtpFrame& frame) {
  const auto part = curve_.open(frame.body);
  if (!part || frame.is_command) {
    return false;
  }
  if (part->is_command) {
    answer_ping(part->text);  // others say nothing to a ROUTER
  } else {
    take_part(*part);
  }
  return true;
}

void Incoming::take_part(const CurveMessage& part) {
  is_oversized_ = is_oversized_ || parts_.size() == kMessageBounds.frames ||
                  bytes_of(parts_) + part.text.size() > kMessageBounds.bytes;
  if (is_oversized_) {
    parts_ = OmqParts();
    parts_bytes_ = 0;
  } else {
    parts_.emplace_back(text_of(part.text));
    parts_bytes_ += part.text.size() + kPartBytes;
  }
  if (part.has_more) {
    return;
  }
  unfinished_since_ = Clock::now();
  parts_bytes_ = 0;
  events_->message(shared_from_this(), std::exchange(parts_, {}),
                   std::exchange(is_oversized_, false));
}

void Incoming::answer_ping(Bytes command) {
  const std::string_view text = text_of(command);
  const std::size_t context_at = kPing.size() + kPingTimeToLive;
  if (!text.starts_with(kPing) || text.size() < context_at ||
      text.size() > context_at + kPingContextMax || output_->pipe->in_pipe() > kPongsWaitingMax) {
    return;
  }
  put_message(std::string(kPong) + std::string(text.substr(context_at)), false, true);
  write();
}

void Incoming::put_command(std::string_view command) {
  written_ += command;
  output_->pipe->put(command.size());
}

void Incoming::put_message(std::string_view text, bool has_more, bool is_command) {
  const std::size_t before = written_.size();
  written_ += zmtp_frame_header(text.size() + kCurveMessageOverhead, false);
  curve_.seal(text, has_more, is_command, written_);
  output_->pipe->put(written_.size() - before);
}

bool Incoming::send(const OmqParts& frames) {
  if (is_closed() || stage_ != Stage::open) {
    return false;
  }
  for (std::size_t i = 0; i < frames.size(); ++i) {
    put_message(frames[i], i + 1 < frames.size(), false);
  }
  write();
  return true;
}

void Incoming::write() {
  while (!is_waiting_to_write_ && written_count_ < written_.size()) {
    boost::system::error_code error;
    const std::size_t count = socket_.write_some(
        boost::asio::buffer(written_.data() + written_count_, written_.size() - written_count_),
        error);
    if (is_for_later(error)) {
      wait_writable();
      return;
    }
    if (error) {
      // Not from within whoever sends.
      is_waiting_to_write_ = true;
      boost::asio::post(socket_.get_executor(), [weak = weak_from_this()] {
        if (const std::shared_ptr<Incoming> self = weak.lock()) {
          self->end();
        }
      });
      return;
    }
    written_count_ += count;
    forget_written();
    output_->pipe->taken(count);
  }
}

void Incoming::forget_written() {
  const std::size_t left = written_.size() - written_count_;
  if (left == 0 && written_.capacity() > kWrittenKept) {
    written_ = std::string();  // "= {}" would keep the memory
  } else if (left == 0) {
    written_.clear();
  } else if (written_count_ > std::max(left, kWrittenKept)) {
    written_ = written_.substr(written_count_);
  } else {
    return;
  }
  written_count_ = 0;
}

void Incoming::wait_writable() {
  is_waiting_to_write_ = true;
  socket_.async_wait(tcp::socket::wait_write,
                     [weak = weak_from_this()](const boost::system::error_code& /*error*/) {
                       const std::shared_ptr<Incoming> self = weak.lock();
                       if (self && !self->is_closed()) {
                         self->is_waiting_to_write_ = false;
                         self->write();
                       }
                     });
}

}  // namespace allium::control
