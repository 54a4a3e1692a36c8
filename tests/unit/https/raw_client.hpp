// SPDX-License-Identifier: Apache-2.0
#pragma once

// A client that blocks and sends what it is told, right or wrong; not built on the code under test.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>
#include <openssl/ssl.h>

namespace allium::control::test {

struct RawAnswer {
  int status = 0;
  std::string head;
  std::string body;

  /// The value of "Name: "; nullopt where there is none.
  [[nodiscard]] std::optional<std::string> header(std::string_view name) const;
};

class RawClient {
 public:
  /// Connected; every call fails after 5 s without a byte.
  explicit RawClient(const boost::asio::ip::tcp::endpoint& server);

  /// From another address of this machine.
  RawClient(const boost::asio::ip::tcp::endpoint& server, const boost::asio::ip::address& source);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False: the handshake failed.
  [[nodiscard]] bool begin_tls(SSL_CTX& context, SSL_SESSION* session = nullptr);

  /// False: the connection is gone.
  bool send(std::string_view text);

  /// What comes next; empty: closed, or nothing within the time.
  [[nodiscard]] std::string receive();

  /// With its body; nullopt: the connection ended before.
  [[nodiscard]] std::optional<RawAnswer> receive_answer();

  /// True: the server ended the connection, and not the clock.
  [[nodiscard]] bool is_closed_by_server();

  void close();

  [[nodiscard]] SSL* tls() const noexcept { return ssl_; }

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

 private:
  int descriptor_ = -1;
  SSL* ssl_ = nullptr;
  std::string input_;
};

/// Of a client that trusts anyone.
[[nodiscard]] std::shared_ptr<SSL_CTX> raw_context(int version_min = TLS1_2_VERSION,
                                                   int version_max = TLS1_3_VERSION);

[[nodiscard]] std::string get_request(std::string_view target);
[[nodiscard]] std::string post_request(std::string_view target, std::string_view body);

}  // namespace allium::control::test
