// SPDX-License-Identifier: Apache-2.0
#pragma once

// A connected socket, with TLS or without: calls that never block, and a wait for the socket.
// Server and client drive it from a loop: try; if it wants something, wait and try again.
//
// OpenSSL works on the socket itself. (asio::ssl::stream keeps 34 KiB of buffers and a pair of BIOs
// with 34 KiB more for every connection, also an idle one.)
//
//   Ownership  owns the socket and the TLS state.
//   Errors     Step::failed; `failure()` has the words.
//   Threads    the service thread; one wait at a time.
//   Limits     no buffer of its own; OpenSSL's are released when empty.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <openssl/ssl.h>

#include "control/service/https/internal/tls_context.hpp"

namespace allium::control {

enum class Step : std::uint8_t {
  done,        ///< the call did what it is for
  want_read,   ///< wait for it, then call again
  want_write,  ///< likewise
  closed,      ///< the other side has ended the connection
  failed,
};

struct Transfer {
  Step step = Step::done;
  std::size_t byte_count = 0;  ///< more than 0 if and only if `done`
};

enum class Role : std::uint8_t { server, client };

class Channel {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  /// Plain.
  explicit Channel(Socket socket);

  /// TLS; handshake() comes first. Without memory for the state, the handshake fails. A server makes the state, 50 KiB of it, when
  /// the client's first record is here whole: who only connects, or sends half of it, has the kernel's buffer and no more.
  Channel(Socket socket, SSL_CTX& context, Role role);

  [[nodiscard]] bool is_tls() const noexcept { return ssl_ != nullptr || context_ != nullptr; }

  /// The TLS state; null where plain, and at a server until the handshake is done.
  [[nodiscard]] SSL* tls() const noexcept { return ssl_.get(); }

  /// Plain: done at once.
  [[nodiscard]] Step handshake();

  [[nodiscard]] Transfer read(boost::asio::mutable_buffer target);
  [[nodiscard]] Transfer write(boost::asio::const_buffer source);

  /// Throws away what came; of TLS, whole records undeciphered. For the end of a connection.
  [[nodiscard]] Transfer skip_raw();

  /// Calls handler(boost::system::error_code) once the socket is ready; later, never within this
  /// call. Requires want_read or want_write.
  template <typename Handler>
  void async_wait(Step wanted, Handler handler) {
    socket_.async_wait(wanted == Step::want_write ? Socket::wait_write : Socket::wait_read,
                       std::move(handler));
  }

  /// Says goodbye: close_notify and FIN. Reading is still possible.
  void end_writing();

  /// Ends all waits with an error.
  void close();

  [[nodiscard]] Socket& socket() noexcept { return socket_; }

  /// Why the last call failed; one line.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

 private:
  void prepare_socket();
  void make_tls(SSL_CTX& context);
  [[nodiscard]] Step await_hello();
  [[nodiscard]] Step outcome_of(int tls_result);
  [[nodiscard]] Transfer socket_outcome(boost::system::error_code error, std::size_t byte_count,
                                        Step wanted);

  Socket socket_;
  std::unique_ptr<SSL, OpensslFreed> ssl_;
  SSL_CTX* context_ = nullptr;   ///< what a server will make its state from
  std::size_t hello_bytes_ = 0;  ///< waited for
  bool tls_missing_ = false;
  std::string failure_;
};

}  // namespace allium::control
