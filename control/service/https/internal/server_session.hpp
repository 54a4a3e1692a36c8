// SPDX-License-Identifier: Apache-2.0
#pragma once

// One connection of the server, as a machine of five states:
//
//   handshake -> reading -> handling -> writing -> reading ...
//                   |                      |
//                   +---- (refusal) -------+--> draining -> closed
//
//   Ownership  held by the core until closed, and by what it waits for.
//   Threads    the service thread.
//   Limits     between two steps it holds at most a request's body and one scratch buffer of bytes
//              behind it.

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/beast/http/parser.hpp>

#include "control/service/https/address_block.hpp"
#include "control/service/https/http_message.hpp"
#include "control/service/https/internal/channel.hpp"
#include "control/service/https/internal/growing_body.hpp"

namespace allium::control {

struct ServerCore;

class ServerSession : public std::enable_shared_from_this<ServerSession> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  ServerSession(std::shared_ptr<ServerCore> core, Channel channel,
                const boost::asio::ip::address& peer);

  /// Enters the core's lists and begins.
  void start();

  /// The answer to the request that is being handled; ignored in any other state.
  void answer(HttpResponse response);

  /// Counts and closes where its time is over.
  void expire(TimePoint now);

  /// Leaves the core's lists.
  void close();

 private:
  using Parser = boost::beast::http::request_parser<GrowingBody>;

  enum class State : std::uint8_t { handshake, reading, handling, writing, draining, closed };
  enum class Then : std::uint8_t { next_request, more_of_request, end };

  void run();
  [[nodiscard]] bool step();
  [[nodiscard]] bool step_handshake();
  [[nodiscard]] bool step_read();
  [[nodiscard]] bool step_handle();
  [[nodiscard]] bool step_write();
  [[nodiscard]] bool step_drain();

  /// Always false: the step is over until the socket is ready.
  bool wait(Step wanted);
  void yield();

  [[nodiscard]] bool receive();
  void parse(std::string_view text);
  void begin_request();
  void judge(boost::system::error_code error);
  void expect_more();
  void account_body();
  void count_body(std::size_t bytes);
  [[nodiscard]] bool is_too_slow(TimePoint now);
  [[nodiscard]] bool make_room_for_bodies();
  void dispatch();
  void refuse(unsigned status, std::uint64_t& counter);
  void begin_writing(const HttpResponse& response);
  void written();
  void count_answer();
  void forget_answer();
  void become_idle();
  void enter(std::list<ServerSession*>& queue);
  void leave_queue();
  void set_deadline(std::chrono::milliseconds from_now);

  std::shared_ptr<ServerCore> core_;
  Channel channel_;
  boost::asio::ip::address peer_;
  AddressBlock block_;
  State state_ = State::handshake;
  bool running_ = false;
  bool waiting_ = false;
  bool registered_ = false;
  std::list<std::shared_ptr<ServerSession>>::iterator place_;
  std::list<ServerSession*>* queue_ = nullptr;  ///< of the core's, the one this is in
  std::list<ServerSession*>::iterator queue_place_;
  TimePoint deadline_;

  std::optional<Parser> parser_;  ///< there while a request is arriving
  std::string input_;             ///< received and not parsed yet
  bool starved_ = true;           ///< `input_` is not enough to go on
  bool continue_sent_ = false;
  std::size_t body_bytes_counted_ = 0;
  TimePoint window_end_{};        ///< until when window_bytes_ have to be passed; zero: no hurry
  std::size_t window_bytes_ = 0;  ///< of the body, when the window began

  bool keep_alive_ = true;
  bool head_only_ = false;
  std::optional<HttpResponse> answer_;
  Then then_ = Then::next_request;
  std::string head_;
  std::string body_;
  std::size_t answer_bytes_counted_ = 0;
  std::size_t written_bytes_ = 0;
  std::size_t drained_bytes_ = 0;
};

}  // namespace allium::control
