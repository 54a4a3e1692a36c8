// SPDX-License-Identifier: Apache-2.0
#include "control/manage/local_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace allium::control {
namespace asio = boost::asio;

namespace {

using Protocol = asio::local::stream_protocol;
using boost::system::error_code;

constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;  // a whole network

bool is_owner(int descriptor) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == geteuid());
}

/// Somebody asks.
struct Client : std::enable_shared_from_this<Client> {
  Client(Protocol::socket socket, std::shared_ptr<std::size_t> count)
      : stream(std::move(socket)),
        timer(stream.get_executor()),
        line(kLocalLineBytesMax),
        open_count(std::move(count)) {
    ++*open_count;
  }

  ~Client() { --*open_count; }

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Gives up after that; what was said before does not count any more.
  void wait(std::chrono::seconds patience) {
    timer.expires_after(patience);
    timer.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) {
        self->stream.close();
      }
    });
  }

  void serve(const LocalSocket::Answer& answer) {
    wait(kPatience);
    asio::async_read_until(
        stream, line, '\n',
        [self = shared_from_this(), answer](const error_code& error, std::size_t count) {
          if (error) {
            self->timer.cancel();
            return;
          }
          const auto* bytes = static_cast<const char*>(self->line.data().data());
          answer(std::string_view(bytes, count - 1),
                 {is_owner(self->stream.native_handle()),
                  [self](const boost::json::object& object) { self->reply(object); },
                  [self](std::chrono::seconds patience) { self->wait(patience); }});
        });
  }

  void reply(const boost::json::object& object) {
    if (!stream.is_open()) {
      return;  // it was too late
    }
    wait(kPatience);
    text = boost::json::serialize(object) + '\n';
    asio::async_write(stream, asio::buffer(text),
                      [self = shared_from_this()](const error_code&, std::size_t) {
                        self->timer.cancel();
                        self->stream.close();
                      });
  }

  Protocol::socket stream;
  asio::steady_timer timer;
  asio::streambuf line;
  std::string text;
  std::shared_ptr<std::size_t> open_count;
};

bool answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool is_there =
      connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(descriptor);
  return is_there;
}

std::string silence(const std::string& path, std::uint64_t timeout_ms) {
  return path + ": somebody listens there and does not answer within " +
         std::to_string(timeout_ms) +
         " ms; perhaps alliumd hangs or was stopped: look at systemctl status alliumd and "
         "journalctl -u alliumd";
}

}  // namespace

struct LocalSocket::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, std::string socket_path, Answer give)
      : acceptor(io), path(std::move(socket_path)), answer(std::move(give)) {}

  void accept() {
    acceptor.async_accept(
        [self = shared_from_this()](const error_code& error, Protocol::socket socket) {
          if (error == asio::error::operation_aborted || !self->acceptor.is_open()) {
            return;
          }
          if (!error && *self->open_count < kLocalClientsMax) {
            std::make_shared<Client>(std::move(socket), self->open_count)->serve(self->answer);
          }
          self->accept();
        });
  }

  Protocol::acceptor acceptor;
  std::string path;
  Answer answer;
  std::shared_ptr<std::size_t> open_count = std::make_shared<std::size_t>(0);
};

Result<std::unique_ptr<LocalSocket>> LocalSocket::open(asio::io_context& io,
                                                       const std::string& path, Answer answer) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(Errc::io, path + ": longer than the 107 characters that a socket's path may have");
  }
  if (answers(path)) {
    return fail(Errc::refused, path + ": another alliumd answers there; stop it first");
  }

  struct stat there {};

  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return fail(Errc::refused, path + ": there is something else of that name");
    }
    unlink(path.c_str());  // what a crash left
  }
  auto state = std::make_shared<State>(io, path, std::move(answer));
  error_code error;
  state->acceptor.open(Protocol(), error);
  if (!error) {
    state->acceptor.bind(Protocol::endpoint(path), error);
  }
  if (!error) {
    state->acceptor.listen(static_cast<int>(kLocalClientsMax), error);
  }
  if (error || chmod(path.c_str(), 0660) != 0) {
    return fail(Errc::io, path + ": " + (error ? error.message() : std::strerror(errno)));
  }
  state->accept();
  return std::unique_ptr<LocalSocket>(new LocalSocket(std::move(state)));
}

LocalSocket::LocalSocket(std::shared_ptr<State> state) : state_(std::move(state)) {}

LocalSocket::~LocalSocket() {
  error_code ignored;
  state_->acceptor.close(ignored);
  unlink(state_->path.c_str());
}

Result<boost::json::object> ask_local(const std::string& path, std::string_view question,
                                      std::uint64_t timeout_ms) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::unavailable, path + ": no socket has a path that long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{static_cast<time_t>(timeout_ms / 1000),
                         static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const std::string line = std::string(question) + '\n';
  std::string text;
  const bool is_asked =
      connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(descriptor, line.data(), line.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(line.size());
  const int failure = errno;
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while (is_asked && text.size() < kAnswerBytesMax &&
         (count = recv(descriptor, buffer.data(), buffer.size(), 0)) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  const bool is_silent = is_asked ? count < 0 && errno == EAGAIN : failure == EAGAIN;
  close(descriptor);
  if (is_silent) {
    return fail(Errc::timeout, silence(path, timeout_ms));
  }
  if (!is_asked && failure == EACCES) {
    return fail(
        Errc::unauthorised,
        path + ": " + std::strerror(failure) +
            "; it is for root, the user of alliumd and that user's group: say it with sudo");
  }
  if (!is_asked) {
    return fail(Errc::unavailable, path + ": " + std::strerror(failure) + "; is alliumd running?");
  }
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object()) {
    return fail(Errc::unavailable, path + ": no answer that could be read");
  }
  return std::move(value.get_object());
}

}  // namespace allium::control
