// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP/1.1 server over TLS, or plain: keep-alive, pipelining, and a bound on all that a stranger
// can make it hold (session storage RPC, sections "Transports" and "TLS"; README.md).
//
// The requests of one connection are handled one after the other, and the next is not read before
// the last answer is with the kernel. So a client that does not read its answers stops itself.
//
//   Ownership  borrows the io_context, which outlives it. Destroying the server is stop().
//   Errors     create(): Errc::malformed (certificate), Errc::internal. listen(): Errc::io. After
//              that, nothing fails but single connections, which are counted.
//   Threads    the service thread; the handler and Respond too.
//   Limits     ServerOptions.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "control/service/https/certificate.hpp"
#include "control/service/https/http_message.hpp"
#include "crypto_accel/base/random.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

/// Answers a request, now or later. A second call, or one after the connection is gone, does
/// nothing. When the last copy goes without a call, the answer is 500.
using Respond = std::function<void(HttpResponse)>;
using Handler = std::function<void(HttpRequest, Respond)>;

struct ServerOptions {
  std::optional<CertificatePair> certificate;  ///< none: plain HTTP
  std::string version;                         ///< "Server: Oxen Storage Server/<version>"

  std::size_t header_bytes_max = 8UL * 1024;        ///< beyond: 431
  std::size_t body_bytes_max = 10UL * 1024 * 1024;  ///< beyond: 413
  // Both together are 26 KiB for each of connections_max, beside 30 KiB of TLS and session.
  /// Bodies that are still arriving, together. Beyond it, the one that has been arriving longest is closed.
  std::size_t bodies_bytes_max = 128UL * 1024 * 1024;
  /// The same of one IPv4 address or IPv6 /64; beyond: 503.
  std::size_t bodies_bytes_per_address_max = 32UL * 1024 * 1024;
  /// A body that holds more than this has to go on arriving, body_rate_min bytes a second over each body_window.
  std::size_t body_bytes_unhurried_max = 64UL * 1024;
  std::size_t body_rate_min = 16UL * 1024;
  std::chrono::milliseconds body_window = std::chrono::seconds(5);
  /// Answers that are not with the kernel yet, together. Beyond it, the connection that has been
  /// taking its answer longest is closed.
  std::size_t answers_bytes_max = 128 * 1024 * 1024;

  /// Beyond it, a new connection takes the place of the one that has been idle longest; if none is
  /// idle, of the one that has been longest in its handshake or in sending a request; if there is none
  /// of these either, it is closed at once.
  std::size_t connections_max = 10'000;
  /// Of one IPv4 address or IPv6 /64. Beyond it, a new connection is closed at once.
  std::size_t connections_per_address_max = 4096;

  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(60);
  std::chrono::milliseconds request_timeout =
      std::chrono::seconds(30);  ///< from its first byte to its last
  std::chrono::milliseconds answer_timeout = std::chrono::seconds(120);  ///< for the handler
  std::chrono::milliseconds write_timeout =
      std::chrono::seconds(30);  ///< for every 64 KiB of an answer
  /// How often time-outs are looked at; they may be late by this.
  std::chrono::milliseconds sweep_interval = std::chrono::milliseconds(500);
  /// Keys of session tickets live this long, so what they protect is lost to nobody after it.
  std::chrono::seconds ticket_key_lifetime = std::chrono::hours(4);
};

/// All only rise, but `connections_open`.
struct ServerCounters {
  std::uint64_t connections_open = 0;
  std::uint64_t connections = 0;
  std::uint64_t handshakes = 0;
  std::uint64_t handshakes_resumed = 0;  ///< of `handshakes`
  std::uint64_t handshakes_failed = 0;
  std::uint64_t requests = 0;  ///< given to the handler

  std::uint64_t refused_all_full = 0;      ///< connections_max
  std::uint64_t refused_address_full = 0;  ///< connections_per_address_max
  std::uint64_t evicted_idle = 0;
  std::uint64_t evicted_unfinished = 0;  ///< in a handshake or a request, also by bodies_bytes_max
  std::uint64_t evicted_writing = 0;     ///< answers_bytes_max
  std::uint64_t refused_header_size = 0;
  std::uint64_t refused_body_size = 0;
  std::uint64_t refused_bodies_full = 0;  ///< bodies_bytes_per_address_max
  std::uint64_t refused_malformed = 0;

  std::uint64_t timeouts_handshake = 0;
  std::uint64_t timeouts_idle = 0;
  std::uint64_t timeouts_request = 0;  ///< request_timeout, or slower than body_rate_min
  std::uint64_t timeouts_answer = 0;
  std::uint64_t timeouts_write = 0;
  std::uint64_t accept_errors = 0;
};

struct ServerCore;

class HttpsServer {
 public:
  using Endpoint = boost::asio::ip::tcp::endpoint;

  /// `random` draws the keys of session tickets and of tables.
  [[nodiscard]] static Result<HttpsServer> create(boost::asio::io_context& service,
                                                  ServerOptions options, const Random& random,
                                                  Handler handler);

  HttpsServer(HttpsServer&&) noexcept;
  HttpsServer& operator=(HttpsServer&&) noexcept;
  ~HttpsServer();

  /// May be called several times. IPv6 endpoints take IPv6 only. Returns the endpoint with the port
  /// it really has.
  [[nodiscard]] Result<Endpoint> listen(const Endpoint& endpoint);

  /// Closes the endpoints and all connections; outstanding answers go nowhere. Final.
  void stop();

  [[nodiscard]] const ServerCounters& counters() const noexcept;

 private:
  explicit HttpsServer(std::shared_ptr<ServerCore> core) noexcept;

  std::shared_ptr<ServerCore> core_;
};

}  // namespace allium::control
