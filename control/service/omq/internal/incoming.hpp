// SPDX-License-Identifier: Apache-2.0
#pragma once

// One TCP connection that came in: ZMTP and CURVE of it, messages in and out. It reads when it is given a turn, no more than that.
//
//   Units      bytes.
//   Ownership  shared by the table and what the io_context has of it; borrows what it is made with until close().
//   Errors     whatever is not an honest client's: Events::ended.
//   Threads    the service thread.
//   Limits     a message's (frames.hpp): of one that is beyond nothing is kept, and it is told as oversized. So it has two of the greatest
//              messages in memory at most. What goes out is OutputPool's to bound.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/omq/internal/curve_server.hpp"
#include "control/service/omq/internal/omq_identity.hpp"
#include "control/service/omq/internal/output_pool.hpp"
#include "control/service/omq/internal/zmtp_frames.hpp"
#include "control/service/omq/omq_endpoint.hpp"

namespace allium::control {

class Incoming : public std::enable_shared_from_this<Incoming> {
 public:
  using Clock = std::chrono::steady_clock;

  struct Events {
    /// May this client come in? Its key is proved.
    std::function<bool(const Incoming& connection, const X25519Key& key)> admit;
    /// Something has come, or the connection has ended: it is to have a turn.
    std::function<void(const std::shared_ptr<Incoming>& connection)> readable;
    /// A message, or one that is beyond the bounds, of which there is nothing.
    std::function<void(const std::shared_ptr<Incoming>& connection, OmqParts frames,
                       bool is_oversized)>
        message;
    /// It is to be closed: the other end has ended it, or (`is_broken`) has broken the protocol, or has not proved a key in time. May come again
    /// until it is.
    std::function<void(const Incoming& connection, bool is_broken)> ended;
  };

  /// `peer`: the other end of `socket`.
  Incoming(boost::asio::ip::tcp::socket socket, const boost::asio::ip::address& peer,
           const OmqIdentity& identity, const Events& events, std::shared_ptr<PipeTally> pipe);

  void start();

  /// Reads and handles what is there, for a little while, with `scratch` to read into. True: there may be more, and it wants another turn;
  /// else it says when.
  [[nodiscard]] bool take_turn(std::span<std::uint8_t> scratch);

  /// False: it is closed.
  bool send(const OmqParts& frames);

  /// At once; nothing unsent leaves. No event comes any more.
  void close();

  /// Its number while it is open.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  [[nodiscard]] const boost::asio::ip::address& address() const noexcept { return address_; }

  [[nodiscard]] AddressBlock block() const noexcept { return block_; }

  /// Requires a client that was admitted.
  [[nodiscard]] const X25519Key& key() const noexcept { return *key_; }

  [[nodiscard]] bool is_admitted() const noexcept { return stage_ == Stage::open; }

  [[nodiscard]] const std::shared_ptr<Output>& output() const noexcept { return output_; }

  /// What a message that has not ended takes of memory.
  [[nodiscard]] std::size_t held() const noexcept {
    return is_idle() ? 0 : reader_.held() + parts_bytes_;
  }

  /// Since when there is a message that has not ended.
  [[nodiscard]] Clock::time_point unfinished_since() const noexcept { return unfinished_since_; }

 private:
  enum class Stage : std::uint8_t { greeting, hello, initiate, open, turned_away };

  void wait_readable();
  void wait_writable();
  [[nodiscard]] bool take_frames(Clock::time_point until);
  [[nodiscard]] bool take_greeting();
  [[nodiscard]] bool take_handshake(const ZmtpFrame& frame);
  [[nodiscard]] bool take_message(const ZmtpFrame& frame);
  void take_part(const CurveMessage& part);
  void answer_ping(Bytes command);
  void put_command(std::string_view command);
  void put_message(std::string_view text, bool has_more, bool is_command);
  void write();
  void forget_written();
  void end(bool is_broken = false);

  [[nodiscard]] bool is_closed() const noexcept { return events_ == nullptr; }

  /// There is nothing of a message.
  [[nodiscard]] bool is_idle() const noexcept { return reader_.is_empty() && parts_.empty(); }

  boost::asio::ip::tcp::socket socket_;
  boost::asio::ip::address address_;
  AddressBlock block_;
  int descriptor_;
  const Events* events_;  ///< null: closed
  CurveServer curve_;
  std::optional<X25519Key> key_;
  boost::asio::steady_timer handshake_timer_;
  Stage stage_ = Stage::greeting;

  ZmtpReader reader_;
  OmqParts parts_;
  std::size_t parts_bytes_ = 0;
  bool is_oversized_ = false;
  Clock::time_point unfinished_since_ = Clock::now();

  std::shared_ptr<Output> output_;
  std::string written_;            ///< as it goes out
  std::size_t written_count_ = 0;  ///< of it, gone
  bool is_waiting_to_write_ = false;
};

}  // namespace allium::control
