// SPDX-License-Identifier: Apache-2.0
#include "control/service/https/internal/channel.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include <boost/asio/error.hpp>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

namespace allium::control {
namespace {

namespace asio = boost::asio;

/// One record's plaintext; more in one call is not faster.
constexpr std::size_t kWriteBytesMax = 16UL * 1024;

/// A client's first record: its header, and what is not waited for in one piece.
constexpr std::size_t kRecordHeaderBytes = 5;
constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::size_t kHelloBytesMax = 4096;

// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE; a library has no business to
// change how the process takes signals. So this one sends with MSG_NOSIGNAL. The file descriptor is
// the BIO's data.
int socket_of(BIO* bio) noexcept {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

static_assert(EAGAIN == EWOULDBLOCK);

bool would_block(int error) noexcept {
  return error == EAGAIN || error == EINTR;
}

int bio_write(BIO* bio, const char* source, int byte_count) {
  BIO_clear_retry_flags(bio);
  const auto sent =
      ::send(socket_of(bio), source, static_cast<std::size_t>(byte_count), MSG_NOSIGNAL);
  if (sent < 0 && would_block(errno)) {
    BIO_set_retry_write(bio);
  }
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* target, int byte_count) {
  BIO_clear_retry_flags(bio);
  const auto received = ::recv(socket_of(bio), target, static_cast<std::size_t>(byte_count), 0);
  if (received < 0 && would_block(errno)) {
    BIO_set_retry_read(bio);
  }
  if (received == 0) {
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  }
  return static_cast<int>(received);
}

long bio_ctrl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "allium socket");
  if (method != nullptr) {
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_ctrl);
  }
  return method;
}

BIO* make_bio(int descriptor) {
  // Lives as long as the process: there is one.
  static BIO_METHOD* const kMethod = make_method();
  BIO* bio = kMethod == nullptr ? nullptr : BIO_new(kMethod);
  if (bio != nullptr) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the number of a descriptor, never followed
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor)));
    BIO_set_init(bio, 1);
  }
  return bio;
}

std::string words_of_failed_tls(const SSL* ssl) {
  const long verdict = SSL_get_verify_result(ssl);
  if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && verdict != X509_V_OK) {
    return std::string("certificate: ") + X509_verify_cert_error_string(verdict);
  }
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  return reason == nullptr ? "TLS failed" : std::string("TLS: ") + reason;
}

}  // namespace

Channel::Channel(Socket socket) : socket_(std::move(socket)) {
  prepare_socket();
}

Channel::Channel(Socket socket, SSL_CTX& context, Role role) : socket_(std::move(socket)) {
  prepare_socket();
  if (role == Role::server) {
    context_ = &context;
    return;
  }
  make_tls(context);
  if (ssl_) {
    SSL_set_connect_state(ssl_.get());
  }
}

void Channel::make_tls(SSL_CTX& context) {
  ssl_.reset(SSL_new(&context));
  BIO* bio = ssl_ ? make_bio(socket_.native_handle()) : nullptr;
  if (bio == nullptr) {
    ssl_.reset();
    tls_missing_ = true;
    return;
  }
  SSL_set_bio(ssl_.get(), bio, bio);
}

Step Channel::await_hello() {
  std::array<std::uint8_t, kRecordHeaderBytes> header{};
  const auto peeked = ::recv(socket_.native_handle(), header.data(), header.size(), MSG_PEEK);
  if (peeked == 0 || (peeked < 0 && !would_block(errno))) {
    return Step::done;  // gone; the handshake finds the words
  }
  std::size_t wanted = header.size();
  if (static_cast<std::size_t>(std::max<ssize_t>(peeked, 0)) == header.size()) {
    const std::size_t record_bytes = (std::size_t{header[3]} << 8U) + header[4];
    const bool is_hello = header[0] == kHandshakeRecord && record_bytes <= kHelloBytesMax;
    boost::system::error_code ignored;
    wanted = is_hello ? header.size() + record_bytes : 0;
    if (socket_.available(ignored) >= wanted) {
      wanted = 0;
    }
  }
  // The same again: the kernel woke us for something else, an end or a buffer that is full.
  const bool is_over = wanted == 0 || wanted == hello_bytes_;
  hello_bytes_ = wanted;
  boost::system::error_code ignored;
  // Ready is the socket when so much has come.
  const auto low_water = static_cast<int>(is_over ? 1 : wanted);
  socket_.set_option(asio::socket_base::receive_low_watermark(low_water), ignored);
  return is_over ? Step::done : Step::want_read;
}

void Channel::prepare_socket() {
  // A socket that does not take these is one that is gone; the first transfer says so.
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Step Channel::handshake() {
  if (tls_missing_) {
    failure_ = "no memory for TLS";
    return Step::failed;
  }
  if (context_ != nullptr && !ssl_) {
    if (const Step step = await_hello(); step != Step::done) {
      return step;
    }
    make_tls(*context_);
    if (!ssl_) {
      return handshake();
    }
    SSL_set_accept_state(ssl_.get());
  }
  if (!ssl_) {
    return Step::done;
  }
  ERR_clear_error();
  return outcome_of(SSL_do_handshake(ssl_.get()));
}

Transfer Channel::read(asio::mutable_buffer target) {
  if (ssl_) {
    ERR_clear_error();
    std::size_t byte_count = 0;
    const Step step =
        outcome_of(SSL_read_ex(ssl_.get(), target.data(), target.size(), &byte_count));
    return {step, byte_count};
  }
  boost::system::error_code error;
  const std::size_t byte_count = socket_.read_some(asio::buffer(target), error);
  return socket_outcome(error, byte_count, Step::want_read);
}

Transfer Channel::write(asio::const_buffer source) {
  if (ssl_) {
    ERR_clear_error();
    std::size_t byte_count = 0;
    const std::size_t offered = std::min(source.size(), kWriteBytesMax);
    const Step step = outcome_of(SSL_write_ex(ssl_.get(), source.data(), offered, &byte_count));
    return {step, byte_count};
  }
  boost::system::error_code error;
  const std::size_t byte_count = socket_.write_some(asio::buffer(source), error);
  return socket_outcome(error, byte_count, Step::want_write);
}

Transfer Channel::skip_raw() {
  std::array<char, 4096> scratch{};
  boost::system::error_code error;
  const std::size_t byte_count = socket_.read_some(asio::buffer(scratch), error);
  return socket_outcome(error, byte_count, Step::want_read);
}

Step Channel::outcome_of(int tls_result) {
  if (tls_result == 1) {
    return Step::done;
  }
  const int system_error = errno;
  switch (SSL_get_error(ssl_.get(), tls_result)) {
    case SSL_ERROR_WANT_READ:
      return Step::want_read;
    case SSL_ERROR_WANT_WRITE:
      return Step::want_write;
    case SSL_ERROR_ZERO_RETURN:
      failure_ = "connection closed";
      return Step::closed;
    case SSL_ERROR_SYSCALL:
      failure_ =
          system_error == 0
              ? "connection closed"
              : boost::system::error_code(system_error, boost::system::system_category()).message();
      return Step::failed;
    default:
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        failure_ = "connection closed";
        return Step::closed;
      }
      failure_ = words_of_failed_tls(ssl_.get());
      return Step::failed;
  }
}

Transfer Channel::socket_outcome(boost::system::error_code error, std::size_t byte_count,
                                 Step wanted) {
  if (!error) {
    return {Step::done, byte_count};
  }
  if (error == asio::error::would_block || error == asio::error::try_again ||
      error == asio::error::interrupted) {
    return {wanted, 0};
  }
  failure_ = error == asio::error::eof ? "connection closed" : error.message();
  return {error == asio::error::eof ? Step::closed : Step::failed, 0};
}

void Channel::end_writing() {
  if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());  // tried once; a full socket loses nothing but the farewell
  }
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Channel::close() {
  if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) {
    // Otherwise OpenSSL calls the session broken, and it is not resumed.
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ssl_.reset();  // its BIO has the number of a descriptor that will soon be somebody else's
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace allium::control
