// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/client_exchange.hpp"

#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/http/error.hpp>
#include <openssl/x509_vfy.h>

#include "control/service/https/internal/client_core.hpp"
#include "control/service/https/internal/message_text.hpp"
#include "control/service/https/internal/openssl_error.hpp"

namespace allium::control {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// After so many steps others have their turn: 16 scratch buffers.
constexpr int kStepsMax = 16;

/// A server that does not come to its answer.
constexpr std::size_t kInterimMax = 16;

bool is_address(const std::string& host) {
  boost::system::error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

/// Which name the server is asked for, and must have where it is verified. False: OpenSSL does not
/// take it.
bool expect_host(SSL* ssl, const Url& url) {
  if (is_address(url.host)) {
    return url.trust == Trust::anyone ||
           X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), url.host.c_str()) == 1;
  }
  // SSL_set_tlsext_host_name() is a macro with a C cast in it.
  std::string name = url.host;
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1 &&
         (url.trust == Trust::anyone || SSL_set1_host(ssl, url.host.c_str()) == 1);
}

std::string place_of(const Url& url) {
  return url.host + " port " + std::to_string(url.port);
}

}  // namespace

ClientExchange::ClientExchange(std::shared_ptr<ClientCore> core, Url url, Repeat repeat,
                               HttpsClient::Callback callback)
    : core_(std::move(core)),
      url_(std::move(url)),
      repeat_(repeat),
      destination_(destination_of(url_)),
      callback_(std::move(callback)),
      timer_(core_->service),
      resolver_(core_->service),
      socket_(core_->service) {}

ClientExchange::~ClientExchange() {
  release();
}

void ClientExchange::start(std::string head, std::string body, std::chrono::milliseconds timeout) {
  head_ = std::move(head);
  body_ = std::move(body);
  core_->exchanges.insert(this);
  ++core_->counters.requests;
  start_timer(timeout);
  if (!core_->pool->begin_request(destination_)) {
    finish(fail(Errc::full, "too many requests to " + place_of(url_) + " at the same time"));
    return;
  }
  begun_ = true;
  begin();
}

void ClientExchange::start_timer(std::chrono::milliseconds timeout) {
  timer_.expires_after(timeout);
  timer_.async_wait([self = shared_from_this(), timeout](boost::system::error_code error) {
    if (error || self->state_ == State::over) {
      return;
    }
    ++self->core_->counters.timeouts;
    self->finish(fail(Errc::timeout, "no answer from " + place_of(self->url_) + " within " +
                                         std::to_string(timeout.count()) + " ms"));
  });
}

void ClientExchange::begin() {
  channel_ = core_->pool->take(destination_);
  reused_ = channel_ != nullptr;
  if (reused_) {
    ++core_->counters.reuses;
    begin_writing();
  } else {
    resolve();
  }
}

void ClientExchange::resolve() {
  state_ = State::connecting;
  boost::system::error_code error;
  const auto address = asio::ip::make_address(url_.host, error);
  if (!error) {
    connect({tcp::endpoint(address, url_.port)});
    return;
  }
  resolver_.async_resolve(
      url_.host, std::to_string(url_.port), tcp::resolver::numeric_service,
      [self = shared_from_this()](boost::system::error_code failure, const auto& endpoints) {
        if (self->state_ == State::over) {
          return;
        }
        if (failure) {
          self->finish(fail(Errc::unavailable, "Could not resolve host " + self->url_.host + ": " +
                                                   failure.message()));
          return;
        }
        self->connect({endpoints.begin(), endpoints.end()});
      });
}

void ClientExchange::connect(std::vector<tcp::endpoint> endpoints) {
  if (core_->options.may_connect) {
    std::erase_if(endpoints, [this](const tcp::endpoint& endpoint) {
      return !core_->options.may_connect(endpoint.address());
    });
  }
  if (endpoints.empty()) {
    // Never inside post(): the caller has not returned yet.
    asio::post(core_->service, [self = shared_from_this()] {
      if (self->state_ != State::over) {
        self->finish(fail(Errc::refused, self->url_.host + " is at no address that is allowed"));
      }
    });
    return;
  }
  asio::async_connect(
      socket_, endpoints,
      [self = shared_from_this()](boost::system::error_code error, const tcp::endpoint& /*used*/) {
        if (self->state_ == State::over) {
          return;
        }
        if (error) {
          self->finish(fail(Errc::unavailable, "Failed to connect to " + place_of(self->url_) +
                                                   ": " + error.message()));
          return;
        }
        self->connected();
      });
}

void ClientExchange::connected() {
  ++core_->counters.connections;
  if (url_.scheme == "http") {
    channel_ = std::make_shared<Channel>(std::move(socket_));
    begin_writing();
    return;
  }
  auto channel = secured_channel();
  if (!channel) {
    finish(tl::unexpected(std::move(channel.error())));
    return;
  }
  channel_ = std::move(*channel);
  state_ = State::handshake;
  run();
}

Result<std::shared_ptr<Channel>> ClientExchange::secured_channel() {
  TlsContext& context =
      url_.trust == Trust::anyone ? core_->trusting_context : core_->verifying_context;
  if (!context) {
    auto made = client_context(url_.trust);
    if (!made) {
      return tl::unexpected(std::move(made.error()));
    }
    context = std::move(*made);
  }
  auto channel = std::make_shared<Channel>(std::move(socket_), *context, Role::client);
  if (!channel->is_tls() || !expect_host(channel->tls(), url_)) {
    return openssl_failed("cannot begin TLS");
  }
  if (SSL_SESSION* session = core_->pool->session_of(destination_); session != nullptr) {
    SSL_set_session(channel->tls(),
                    session);  // where it does not take it, there is a full handshake
  }
  return channel;
}

void ClientExchange::begin_writing() {
  state_ = State::writing;
  written_bytes_ = 0;
  interim_count_ = 0;
  renew_parser();
  run();
}

void ClientExchange::run() {
  for (int count = 0; step(); ++count) {
    if (count == kStepsMax) {
      asio::post(core_->service, [self = shared_from_this(), channel = channel_] {
        if (self->channel_ == channel) {
          self->run();
        }
      });
      return;
    }
  }
}

bool ClientExchange::step() {
  switch (state_) {
    case State::handshake:
      return step_handshake();
    case State::writing:
      return step_write();
    case State::reading:
      return step_read();
    case State::connecting:
    case State::over:
      break;
  }
  return false;
}

bool ClientExchange::wait(Step wanted) {
  if (wanted != Step::want_read && wanted != Step::want_write) {
    lost();
    return false;
  }
  channel_->async_wait(
      wanted, [self = shared_from_this(), channel = channel_](boost::system::error_code /*error*/) {
        if (self->channel_ == channel) {
          self->run();
        }
      });
  return false;
}

bool ClientExchange::step_handshake() {
  const Step step = channel_->handshake();
  if (step != Step::done) {
    return wait(step);
  }
  ++core_->counters.handshakes;
  core_->counters.handshakes_resumed += SSL_session_reused(channel_->tls()) == 1 ? 1U : 0U;
  begin_writing();
  return false;  // begin_writing() has gone on
}

bool ClientExchange::step_write() {
  const bool in_head = written_bytes_ < head_.size();
  const std::string& text = in_head ? head_ : body_;
  const std::size_t offset = in_head ? written_bytes_ : written_bytes_ - head_.size();
  if (offset == text.size()) {
    state_ = State::reading;
    return true;
  }
  const Transfer transfer = channel_->write(asio::buffer(text) + offset);
  written_bytes_ += transfer.byte_count;
  return transfer.step == Step::done || wait(transfer.step);
}

bool ClientExchange::step_read() {
  const Transfer transfer = channel_->read(asio::buffer(core_->scratch));
  if (transfer.step == Step::want_read || transfer.step == Step::want_write) {
    return wait(transfer.step);
  }
  if (transfer.step != Step::done) {
    lost();
    return false;
  }
  answered_ = true;
  input_.append(core_->scratch.data(), transfer.byte_count);
  const std::string text = std::move(input_);
  input_.clear();
  parse(text);
  return true;
}

void ClientExchange::parse(std::string_view text) {
  boost::system::error_code error;
  do {
    text.remove_prefix(parser_->put(asio::buffer(text.data(), text.size()), error));
  } while (skip_interim() && !text.empty() && !has_too_many_interim());
  input_.assign(text);
  count_body(parser_->get().body().size());
  if (error == http::error::body_limit || error == http::error::header_limit ||
      input_.size() > core_->scratch.size()) {
    finish(fail(Errc::out_of_range, "the answer of " + place_of(url_) + " is too large"));
  } else if (has_too_many_interim()) {
    finish(fail(Errc::malformed,
                place_of(url_) + " sends interim answers (1xx) and does not come to its answer"));
  } else if (error && error != http::error::need_more) {
    finish(fail(Errc::malformed,
                "the answer of " + place_of(url_) + " is not HTTP: " + error.message()));
  } else if (parser_->is_done()) {
    succeed();
  } else if (core_->answers_bytes > core_->options.answers_bytes_max) {
    finish(fail(Errc::full, "too much is on its way from servers: try again"));
  }
}

void ClientExchange::count_body(std::size_t byte_count) {
  core_->answers_bytes += byte_count;
  core_->answers_bytes -= std::exchange(counted_bytes_, byte_count);
}

bool ClientExchange::skip_interim() {
  if (!parser_->is_done() || parser_->get().result_int() / 100 != 1) {
    return false;
  }
  ++interim_count_;
  renew_parser();
  return true;
}

bool ClientExchange::has_too_many_interim() const {
  return interim_count_ > kInterimMax;
}

void ClientExchange::renew_parser() {
  parser_.emplace();
  parser_->eager(true);
  parser_->header_limit(static_cast<std::uint32_t>(core_->options.answer_header_bytes_max));
  parser_->body_limit(core_->options.answer_body_bytes_max);
}

void ClientExchange::lost() {
  // What the server may have begun to do is not asked for again, unless twice is the same as once (RFC 9110, 9.2.2).
  const bool may_repeat = repeat_ == Repeat::allowed || written_bytes_ == 0;
  if (reused_ && !answered_ && may_repeat) {
    ++core_->counters.retries;
    reused_ = false;
    channel_->close();
    channel_.reset();
    resolve();
    return;
  }
  // An answer without a length ends with the connection.
  boost::system::error_code error = http::error::partial_message;
  if (parser_ && parser_->is_header_done()) {
    parser_->put_eof(error);
  }
  if (!error) {
    succeed();
    return;
  }
  finish(fail(Errc::unavailable,
              "lost the connection to " + place_of(url_) + ": " + channel_->failure()));
}

void ClientExchange::succeed() {
  auto& message = parser_->get();
  HttpResponse response;
  response.status = message.result_int();
  const auto content_type = message[http::field::content_type];
  response.content_type = std::string(content_type);
  response.headers = headers_of(message);
  response.body = std::move(message.body());
  core_->pool->remember_session(destination_, *channel_);
  if (parser_->keep_alive() && input_.empty()) {
    core_->pool->give(destination_, std::exchange(channel_, nullptr));
  }
  finish(std::move(response));
}

void ClientExchange::finish(Result<HttpResponse> result) {
  const auto callback = std::exchange(callback_, nullptr);
  abandon();
  callback(std::move(result));
}

void ClientExchange::abandon() {
  state_ = State::over;
  timer_.cancel();
  resolver_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (channel_) {
    channel_->close();
    channel_.reset();
  }
  callback_ = nullptr;
  release();
}

void ClientExchange::release() {
  count_body(0);
  core_->exchanges.erase(this);
  if (std::exchange(begun_, false)) {
    core_->pool->end_request(destination_);
  }
}

}  // namespace allium::control
