// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/server_session.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>

#include "control/service/https/internal/message_text.hpp"
#include "control/service/https/internal/server_core.hpp"

namespace allium::control {
namespace {

namespace http = boost::beast::http;

/// After so many steps another connection has its turn: 16 scratch buffers, or 16 small requests
/// and more.
constexpr int kStepsMax = 48;

/// Bodies up to this go out in one piece with their header: one TLS record.
constexpr std::size_t kJoinedBodyBytesMax = 15UL * 1024;

/// write_timeout is for so much.
constexpr std::size_t kWriteStretchBytes = 64UL * 1024;

/// After a refusal, the client is listened to a little: closing with unread bytes in the kernel
/// would reset the connection, and the client might never see why.
constexpr std::size_t kDrainedBytesMax = 1024UL * 1024;
constexpr std::chrono::seconds kDrainTime{2};

/// Stands in for all copies of one Respond.
class PendingAnswer {
 public:
  explicit PendingAnswer(std::weak_ptr<ServerSession> session) : session_(std::move(session)) {}

  PendingAnswer(const PendingAnswer&) = delete;
  PendingAnswer& operator=(const PendingAnswer&) = delete;

  ~PendingAnswer() { give({500, "text/plain", "The request was not answered", {}}); }

  void give(HttpResponse response) {
    const auto session = std::exchange(session_, {}).lock();
    if (session) {
      session->answer(std::move(response));
    }
  }

 private:
  std::weak_ptr<ServerSession> session_;
};

}  // namespace

ServerSession::ServerSession(std::shared_ptr<ServerCore> core, Channel channel,
                             const boost::asio::ip::address& peer)
    : core_(std::move(core)),
      channel_(std::move(channel)),
      peer_(peer),
      block_(address_block(peer)) {}

void ServerSession::start() {
  place_ = core_->sessions.insert(core_->sessions.end(), shared_from_this());
  ++core_->addresses[block_].connections;
  ++core_->counters.connections;
  ++core_->counters.connections_open;
  registered_ = true;
  enter(core_->unfinished_sessions);
  set_deadline(core_->options.handshake_timeout);
  run();
}

void ServerSession::close() {
  if (state_ == State::closed) {
    return;
  }
  const auto self = shared_from_this();
  state_ = State::closed;
  channel_.close();
  leave_queue();
  forget_answer();
  if (std::exchange(registered_, false)) {
    count_body(0);
    --core_->counters.connections_open;
    if (const auto mine = core_->addresses.find(block_); --mine->second.connections == 0) {
      core_->addresses.erase(mine);
    }
    core_->sessions.erase(place_);
  }
}

void ServerSession::expire(TimePoint now) {
  if (state_ == State::closed || (now < deadline_ && !is_too_slow(now))) {
    return;
  }
  ServerCounters& counters = core_->counters;
  switch (state_) {
    case State::handshake:
      ++counters.timeouts_handshake;
      break;
    case State::reading:
      ++(parser_ ? counters.timeouts_request : counters.timeouts_idle);
      break;
    case State::handling:
      ++counters.timeouts_answer;
      break;
    case State::writing:
      ++counters.timeouts_write;
      break;
    case State::draining:
    case State::closed:
      break;
  }
  close();
}

void ServerSession::answer(HttpResponse response) {
  if (state_ == State::handling && !answer_) {
    answer_ = std::move(response);
    run();
  }
}

void ServerSession::run() {
  // An answer given within the handler comes here from within step(); the loop below sees it.
  if (running_ || waiting_) {
    return;
  }
  const auto self = shared_from_this();
  running_ = true;
  int step_count = 0;
  while (step()) {
    if (++step_count == kStepsMax) {
      yield();
      break;
    }
  }
  running_ = false;
}

bool ServerSession::step() {
  switch (state_) {
    case State::handshake:
      return step_handshake();
    case State::reading:
      return step_read();
    case State::handling:
      return step_handle();
    case State::writing:
      return step_write();
    case State::draining:
      return step_drain();
    case State::closed:
      break;
  }
  return false;
}

bool ServerSession::wait(Step wanted) {
  if (wanted == Step::want_read || wanted == Step::want_write) {
    waiting_ = true;
    channel_.async_wait(wanted, [self = shared_from_this()](boost::system::error_code /*error*/) {
      // An error is one of the socket's, and the next step meets it.
      self->waiting_ = false;
      self->run();
    });
  } else {
    close();
  }
  return false;
}

void ServerSession::yield() {
  waiting_ = true;
  boost::asio::post(core_->service, [self = shared_from_this()] {
    self->waiting_ = false;
    self->run();
  });
}

bool ServerSession::step_handshake() {
  const Step step = channel_.handshake();
  if (step == Step::done) {
    if (channel_.is_tls()) {
      ++core_->counters.handshakes;
      core_->counters.handshakes_resumed += SSL_session_reused(channel_.tls()) == 1 ? 1U : 0U;
    }
    state_ = State::reading;
    become_idle();
    return true;
  }
  if (step == Step::closed || step == Step::failed) {
    ++core_->counters.handshakes_failed;
  }
  return wait(step);
}

bool ServerSession::step_read() {
  if (!starved_) {
    std::string text = std::move(input_);
    input_.clear();
    parse(text);
    return true;
  }
  return receive();
}

bool ServerSession::receive() {
  const Transfer transfer = channel_.read(boost::asio::buffer(core_->scratch));
  if (transfer.step != Step::done) {
    return wait(transfer.step);
  }
  const std::string_view received(core_->scratch.data(), transfer.byte_count);
  if (input_.empty()) {
    parse(received);
  } else {
    std::string text = std::move(input_);
    input_.clear();
    text += received;
    parse(text);
  }
  return true;
}

void ServerSession::parse(std::string_view text) {
  if (!parser_) {
    begin_request();
  }
  boost::system::error_code error;
  text.remove_prefix(parser_->put(boost::asio::buffer(text.data(), text.size()), error));
  input_.assign(text);
  judge(error);
}

void ServerSession::begin_request() {
  enter(core_->unfinished_sessions);
  parser_.emplace();
  parser_->eager(true);
  parser_->header_limit(static_cast<std::uint32_t>(core_->options.header_bytes_max));
  parser_->body_limit(core_->options.body_bytes_max);
  continue_sent_ = false;
  window_end_ = {};
  set_deadline(core_->options.request_timeout);
}

void ServerSession::judge(boost::system::error_code error) {
  ServerCounters& counters = core_->counters;
  account_body();
  if (error == http::error::header_limit) {
    refuse(431, counters.refused_header_size);
  } else if (error == http::error::body_limit) {
    refuse(413, counters.refused_body_size);
  } else if (error && error != http::error::need_more) {
    refuse(400, counters.refused_malformed);
  } else if (!make_room_for_bodies()) {
    refuse(503, counters.refused_bodies_full);
  } else if (parser_->is_done()) {
    dispatch();
  } else if (input_.size() > core_->scratch.size()) {
    refuse(400, counters.refused_malformed);  // a chunk's extensions without end
  } else {
    expect_more();
  }
}

void ServerSession::account_body() {
  const std::string& body = parser_->get().body();
  count_body(body.capacity());
  if (window_end_ == TimePoint{} && body.size() > core_->options.body_bytes_unhurried_max) {
    window_end_ = ServerCore::Clock::now() + core_->options.body_window;
    window_bytes_ = body.size();
  }
}

void ServerSession::count_body(std::size_t bytes) {
  const std::size_t before = std::exchange(body_bytes_counted_, bytes);
  core_->bodies_bytes += bytes - before;
  core_->addresses[block_].bodies_bytes += bytes - before;
}

bool ServerSession::is_too_slow(TimePoint now) {
  if (state_ != State::reading || !parser_ || window_end_ == TimePoint{} || now < window_end_) {
    return false;
  }
  const ServerOptions& options = core_->options;
  const std::size_t arrived = parser_->get().body().size() - window_bytes_;
  window_bytes_ += arrived;
  window_end_ = now + options.body_window;
  return arrived * 1000 <
         options.body_rate_min * static_cast<std::size_t>(options.body_window.count());
}

bool ServerSession::make_room_for_bodies() {
  const ServerOptions& options = core_->options;
  if (core_->addresses[block_].bodies_bytes > options.bodies_bytes_per_address_max) {
    return false;
  }
  // Whoever means it has sent all of it long before as much has come from others.
  for (auto next = core_->unfinished_sessions.begin();
       core_->bodies_bytes > options.bodies_bytes_max &&
       next != core_->unfinished_sessions.end();) {
    ServerSession* const slowest = *next++;
    if (slowest == this) {
      return false;
    }
    if (slowest->body_bytes_counted_ > 0) {
      ++core_->counters.evicted_unfinished;
      slowest->close();
    }
  }
  return true;
}

void ServerSession::expect_more() {
  starved_ = true;
  if (parser_->is_header_done() && !continue_sent_ &&
      http::token_list(parser_->get()[http::field::expect]).exists("100-continue")) {
    continue_sent_ = true;
    head_ = "HTTP/1.1 100 Continue\r\n\r\n";
    then_ = Then::more_of_request;
    state_ = State::writing;
  }
}

void ServerSession::dispatch() {
  auto& message = parser_->get();
  HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.headers = headers_of(message);
  request.body = std::move(message.body());
  request.peer = peer_;
  // To HTTP/1.0, keeping a connection would have to be said in a header that the protocol does not
  // have.
  keep_alive_ = parser_->keep_alive() && message.version() == 11;
  head_only_ = message.method() == http::verb::head;
  parser_.reset();
  count_body(0);

  state_ = State::handling;
  leave_queue();
  set_deadline(core_->options.answer_timeout);
  ++core_->counters.requests;
  const auto pending = std::make_shared<PendingAnswer>(weak_from_this());
  core_->handler(std::move(request),
                 [pending](HttpResponse response) { pending->give(std::move(response)); });
}

bool ServerSession::step_handle() {
  if (!answer_) {
    return false;  // answer() goes on
  }
  then_ = keep_alive_ ? Then::next_request : Then::end;
  begin_writing(*answer_);
  body_ = head_only_ ? std::string() : std::move(answer_->body);
  if (body_.size() <= kJoinedBodyBytesMax) {
    head_ += body_;
    body_.clear();
  }
  answer_.reset();
  count_answer();
  return true;
}

void ServerSession::refuse(unsigned status, std::uint64_t& counter) {
  ++counter;
  parser_.reset();
  count_body(0);
  input_ = std::string();
  then_ = Then::end;
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  const HttpResponse response{status, "text/plain", std::string(reason), {}};
  begin_writing(response);
  head_ += response.body;
}

void ServerSession::begin_writing(const HttpResponse& response) {
  state_ = State::writing;
  enter(core_->writing_sessions);
  set_deadline(core_->options.write_timeout);
  const KeepAlive keep_alive = then_ == Then::end ? KeepAlive::no : KeepAlive::yes;
  head_ = answer_head(response, {core_->server_header, core_->date(), keep_alive});
}

bool ServerSession::step_write() {
  const bool in_head = written_bytes_ < head_.size();
  const std::string& text = in_head ? head_ : body_;
  const std::size_t offset = in_head ? written_bytes_ : written_bytes_ - head_.size();
  if (offset == text.size()) {
    written();
    return true;
  }
  const Transfer transfer = channel_.write(boost::asio::buffer(text) + offset);
  if (transfer.step != Step::done) {
    return wait(transfer.step);
  }
  const std::size_t stretch_before = written_bytes_ / kWriteStretchBytes;
  written_bytes_ += transfer.byte_count;
  if (written_bytes_ / kWriteStretchBytes != stretch_before) {
    set_deadline(core_->options.write_timeout);
  }
  return true;
}

void ServerSession::written() {
  head_ = std::string();
  body_ = std::string();
  written_bytes_ = 0;
  forget_answer();
  if (then_ == Then::end) {
    leave_queue();
    channel_.end_writing();
    state_ = State::draining;
    set_deadline(kDrainTime);
    return;
  }
  state_ = State::reading;
  if (then_ == Then::more_of_request) {
    return;
  }
  starved_ = input_.empty();
  if (starved_) {
    become_idle();
  } else {
    leave_queue();
  }
}

bool ServerSession::step_drain() {
  const Transfer transfer = channel_.skip_raw();
  drained_bytes_ += transfer.byte_count;
  if (transfer.step == Step::done && drained_bytes_ <= kDrainedBytesMax) {
    return true;
  }
  return wait(transfer.step == Step::done ? Step::closed : transfer.step);
}

void ServerSession::become_idle() {
  set_deadline(core_->options.idle_timeout);
  enter(core_->idle_sessions);
}

void ServerSession::count_answer() {
  answer_bytes_counted_ = head_.capacity() + body_.capacity();
  core_->answers_bytes += answer_bytes_counted_;
  while (core_->answers_bytes > core_->options.answers_bytes_max &&
         core_->writing_sessions.front() != this) {
    ++core_->counters.evicted_writing;
    core_->writing_sessions.front()->close();
  }
}

void ServerSession::forget_answer() {
  core_->answers_bytes -= std::exchange(answer_bytes_counted_, 0);
}

void ServerSession::enter(std::list<ServerSession*>& queue) {
  if (queue_ != nullptr) {
    queue.splice(queue.end(), *queue_, queue_place_);
  } else {
    queue_place_ = queue.insert(queue.end(), this);
  }
  queue_ = &queue;
}

void ServerSession::leave_queue() {
  if (queue_ != nullptr) {
    queue_->erase(queue_place_);
    queue_ = nullptr;
  }
}

void ServerSession::set_deadline(std::chrono::milliseconds from_now) {
  deadline_ = std::chrono::steady_clock::now() + from_now;
}

}  // namespace allium::control
