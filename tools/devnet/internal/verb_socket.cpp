// SPDX-License-Identifier: Apache-2.0
#include "tools/devnet/internal/verb_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <boost/json.hpp>

#include "tools/devnet/internal/system_error.hpp"

namespace allium::devnet {
namespace {

namespace json = boost::json;

constexpr std::size_t kRequestBytesMax = 4096;
constexpr int kRequestTimeoutMs = 500;

bool is_own(int connection) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
         (credentials.uid == geteuid() || credentials.uid == 0);
}

std::string read_line(int connection) {
  std::string line;
  std::array<char, kRequestBytesMax> buffer{};
  while (line.find('\n') == std::string::npos && line.size() < kRequestBytesMax) {
    pollfd wait{connection, POLLIN, 0};
    const ssize_t count = poll(&wait, 1, kRequestTimeoutMs) == 1
                              ? recv(connection, buffer.data(), buffer.size(), 0)
                              : 0;
    if (count <= 0) {
      break;
    }
    line.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return line;
}

void serve_connection(int connection, const VerbSocket::Answer& answer) {
  boost::system::error_code error;
  const json::value request = json::parse(read_line(connection), error);
  if (!error && request.is_object()) {
    const std::string text = json::serialize(answer(request.as_object()));
    static_cast<void>(!send(connection, text.data(), text.size(), MSG_NOSIGNAL));
  }
}

}  // namespace

VerbSocket::~VerbSocket() {
  if (listener_ >= 0) {
    close(listener_);
  }
}

Result<void> VerbSocket::open(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::out_of_range, path + " is too long for a socket; set ALLIUM_DEVNET_DIR");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  unlink(path.c_str());
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0 ||
      bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener_, 16) != 0) {
    return system_error(path);
  }
  return {};
}

void VerbSocket::serve(const Answer& answer) const {
  const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection < 0) {
    return;
  }
  if (is_own(connection)) {
    serve_connection(connection, answer);
  }
  close(connection);
}

}  // namespace allium::devnet
