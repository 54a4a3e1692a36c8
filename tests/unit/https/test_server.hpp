// SPDX-License-Identifier: Apache-2.0
#pragma once

// The server under test on loopback, on a thread of its own.

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "control/service/https/https_server.hpp"
#include "tests/unit/https/raw_client.hpp"
#include "tests/unit/https/service_thread.hpp"

namespace allium::control::test {

/// Answers with "<method> <target> <bytes of body>".
inline void echo(HttpRequest request, const Respond& respond) {
  respond({200,
           "text/plain",
           request.method + ' ' + request.target + ' ' + std::to_string(request.body.size()),
           {}});
}

inline const CertificatePair& test_certificate() {
  static const CertificatePair kPair = make_certificate().value();
  return kPair;
}

[[nodiscard]] inline ServerOptions plain_options() {
  ServerOptions options;
  options.version = "2.8.0";
  options.sweep_interval = std::chrono::milliseconds(10);
  return options;
}

[[nodiscard]] inline ServerOptions tls_options() {
  ServerOptions options = plain_options();
  options.certificate = test_certificate();
  return options;
}

class TestServer {
 public:
  explicit TestServer(ServerOptions options, Handler handler = echo,
                      const char* address = "127.0.0.1") {
    service_.on([&] {
      auto created = HttpsServer::create(service_.io(), std::move(options), system_random(),
                                         std::move(handler));
      server_ = std::make_unique<HttpsServer>(std::move(created.value()));
      endpoint_ = server_->listen({boost::asio::ip::make_address(address), 0}).value();
    });
  }

  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  ~TestServer() {
    service_.on([this] { server_.reset(); });
  }

  [[nodiscard]] const boost::asio::ip::tcp::endpoint& endpoint() const noexcept {
    return endpoint_;
  }

  [[nodiscard]] ServiceThread& service() noexcept { return service_; }

  [[nodiscard]] HttpsServer& server() noexcept { return *server_; }

  [[nodiscard]] ServerCounters counters() {
    return service_.on([this] { return server_->counters(); });
  }

  /// Asks until the condition holds for the counters, at most for about 5 s; false: it never did.
  template <typename Condition>
  [[nodiscard]] bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!condition(counters())) {
      if (std::chrono::steady_clock::now() > end) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }

 private:
  ServiceThread service_;
  std::unique_ptr<HttpsServer> server_;
  boost::asio::ip::tcp::endpoint endpoint_;
};

}  // namespace allium::control::test
