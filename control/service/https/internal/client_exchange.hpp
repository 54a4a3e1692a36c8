// SPDX-License-Identifier: Apache-2.0
#pragma once

// One request of the client, from the choice of a connection to the callback:
//
//   (kept connection) ---------------------+
//   resolve -> connect -> handshake -> writing -> reading -> over
//
//   Ownership  held by what it waits for.
//   Threads    the service thread.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>

#include "control/service/https/https_client.hpp"
#include "control/service/https/internal/channel.hpp"
#include "control/service/https/internal/growing_body.hpp"

namespace allium::control {

struct ClientCore;

enum class Repeat : std::uint8_t {
  allowed,    ///< idempotent: GET
  forbidden,  ///< once any of it was written
};

class ClientExchange : public std::enable_shared_from_this<ClientExchange> {
 public:
  ClientExchange(std::shared_ptr<ClientCore> core, Url url, Repeat repeat,
                 HttpsClient::Callback callback);
  ~ClientExchange();
  ClientExchange(const ClientExchange&) = delete;
  ClientExchange& operator=(const ClientExchange&) = delete;

  void start(std::string head, std::string body, std::chrono::milliseconds timeout);

  /// Ends without a callback.
  void abandon();

 private:
  using tcp = boost::asio::ip::tcp;
  using Parser = boost::beast::http::response_parser<GrowingBody>;

  enum class State : std::uint8_t { connecting, handshake, writing, reading, over };

  void start_timer(std::chrono::milliseconds timeout);
  void begin();
  void resolve();
  void connect(std::vector<tcp::endpoint> endpoints);
  void connected();
  [[nodiscard]] Result<std::shared_ptr<Channel>> secured_channel();
  void begin_writing();

  void run();
  [[nodiscard]] bool step();
  [[nodiscard]] bool step_handshake();
  [[nodiscard]] bool step_write();
  [[nodiscard]] bool step_read();
  [[nodiscard]] bool wait(Step wanted);

  void parse(std::string_view text);
  void count_body(std::size_t byte_count);
  [[nodiscard]] bool skip_interim();
  [[nodiscard]] bool has_too_many_interim() const;
  void renew_parser();
  void lost();
  void succeed();
  void finish(Result<HttpResponse> result);
  void release();

  std::shared_ptr<ClientCore> core_;
  Url url_;
  Repeat repeat_;
  std::string destination_;
  HttpsClient::Callback callback_;
  boost::asio::steady_timer timer_;
  tcp::resolver resolver_;
  tcp::socket socket_;  ///< until it is connected
  std::shared_ptr<Channel> channel_;
  State state_ = State::connecting;
  bool begun_ = false;
  bool reused_ = false;
  bool answered_ = false;  ///< a byte of the answer has come
  std::string head_;
  std::string body_;
  std::size_t written_bytes_ = 0;
  std::optional<Parser> parser_;
  std::size_t interim_count_ = 0;  ///< answers before the answer
  std::size_t counted_bytes_ = 0;  ///< of the body, in the core's sum
  std::string input_;
};

}  // namespace allium::control
