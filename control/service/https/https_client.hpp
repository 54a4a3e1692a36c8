// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP/1.1 client: POST over TLS, or plain, with a pool of kept connections (session storage RPC,
// sections "Transports" and "Proxy destination").
//
//   Ownership  borrows the io_context, which outlives it. Destroying the client is stop().
//   Errors     of a request: Errc::malformed (URL or headers that would break the request; an
//              answer that is not HTTP), Errc::timeout, Errc::unavailable (no such host, no
//              connection, connection lost, certificate refused), Errc::full (ClientOptions),
//              Errc::out_of_range (the answer is too large), Errc::internal.
//   Threads    the service thread; callbacks too, never from within post(). Names are resolved on
//              Asio's own thread.
//   Limits     ClientOptions.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>

#include "control/service/https/http_message.hpp"
#include "crypto_accel/base/result.hpp"

namespace allium::control {

enum class Trust : std::uint8_t {
  anyone,        ///< any certificate: service nodes, which are known by their X25519 keys
  system_roots,  ///< the chain and the host's name must hold
};

struct Url {
  std::string scheme;  ///< "http" or "https"
  std::string host;    ///< name or address; IPv6 without brackets
  std::uint16_t port = 0;
  std::string target;  ///< path and query: "/storage_rpc/v1"
  Trust trust = Trust::anyone;
};

/// "http://host[:port][/path]", https likewise; IPv6 in brackets; nobody's name in it.
[[nodiscard]] std::optional<Url> parse_url(std::string_view text);

struct ClientOptions {
  std::string user_agent;  ///< sent where the caller gives none; empty: none
  std::size_t answer_header_bytes_max = 16UL * 1024;
  std::size_t answer_body_bytes_max = 10UL * 1024 * 1024;
  std::size_t answers_bytes_max =
      256UL * 1024 * 1024;                  ///< of all that are on their way; beyond: Errc::full
  std::size_t requests_max = 4096;          ///< at the same time; beyond: Errc::full
  std::size_t requests_per_host_max = 256;  ///< likewise

  std::size_t idle_per_host_max = 8;  ///< kept connections; what is more is closed
  std::size_t idle_max = 512;
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(30);  ///< less than servers' 60 s
  std::size_t hosts_max = 4096;  ///< of which TLS sessions are remembered

  /// Asked for every address, also those that a name resolves to, before a connection is made; empty: all are allowed. A host with
  /// none that is: Errc::refused.
  std::function<bool(const boost::asio::ip::address&)> may_connect = {};
};

/// All only rise.
struct ClientCounters {
  std::uint64_t requests = 0;
  std::uint64_t connections = 0;  ///< made
  std::uint64_t reuses = 0;       ///< of kept connections
  std::uint64_t retries = 0;      ///< after a kept connection turned out to be dead
  std::uint64_t handshakes = 0;
  std::uint64_t handshakes_resumed = 0;  ///< of `handshakes`
  std::uint64_t timeouts = 0;
};

struct ClientCore;

class HttpsClient {
 public:
  using Callback = std::function<void(Result<HttpResponse>)>;

  static constexpr std::chrono::seconds kTimeout{25};

  /// Fails with Errc::internal.
  [[nodiscard]] static Result<HttpsClient> create(boost::asio::io_context& service,
                                                  ClientOptions options);

  HttpsClient(HttpsClient&&) noexcept;
  HttpsClient& operator=(HttpsClient&&) noexcept;
  ~HttpsClient();

  /// Posts and calls back once with whatever was answered, also with 404 or 500. `timeout` is for
  /// all of it.
  ///
  /// A kept connection may be closed by the server in the moment of its reuse. The request is sent again, over a new connection, only
  /// where none of it had been written; otherwise the server may have done what it says, and it is Errc::unavailable.
  void post(const Url& url, const HttpHeaders& headers, std::string body,
            std::chrono::milliseconds timeout, Callback callback);

  /// The same without a body. Sent again also where it was written and the kept connection ended before the first byte of an answer.
  void get(const Url& url, std::chrono::milliseconds timeout, Callback callback);

  /// Closes everything. Callbacks that have not been called never are. Final.
  void stop();

  [[nodiscard]] const ClientCounters& counters() const noexcept;

  /// Connections that are kept for reuse.
  [[nodiscard]] std::size_t idle_connections() const noexcept;

 private:
  explicit HttpsClient(std::shared_ptr<ClientCore> core) noexcept;
  void send(std::string_view method, const Url& url, const HttpHeaders& headers, std::string body,
            std::chrono::milliseconds timeout, Callback callback);

  std::shared_ptr<ClientCore> core_;
};

}  // namespace allium::control
