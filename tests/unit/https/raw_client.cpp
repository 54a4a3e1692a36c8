// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/https/raw_client.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace allium::control::test {

std::optional<std::string> RawAnswer::header(std::string_view name) const {
  const std::string start = "\r\n" + std::string(name) + ": ";
  const std::size_t place = head.find(start);
  if (place == std::string::npos) {
    return std::nullopt;
  }
  const std::size_t begin = place + start.size();
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

RawClient::RawClient(const boost::asio::ip::tcp::endpoint& server)
    : RawClient(server, server.protocol() == boost::asio::ip::tcp::v6()
                            ? boost::asio::ip::address(boost::asio::ip::address_v6())
                            : boost::asio::ip::address(boost::asio::ip::address_v4())) {}

RawClient::RawClient(const boost::asio::ip::tcp::endpoint& server,
                     const boost::asio::ip::address& source) {
  descriptor_ = ::socket(server.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{5, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const boost::asio::ip::tcp::endpoint own(source, 0);
  if (::bind(descriptor_, own.data(), static_cast<socklen_t>(own.size())) != 0 ||
      ::connect(descriptor_, server.data(), static_cast<socklen_t>(server.size())) != 0) {
    close();
  }
}

RawClient::~RawClient() {
  close();
}

void RawClient::close() {
  SSL_free(ssl_);
  ssl_ = nullptr;
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    descriptor_ = -1;
  }
}

bool RawClient::begin_tls(SSL_CTX& context, SSL_SESSION* session) {
  ssl_ = SSL_new(&context);
  SSL_set_fd(ssl_, descriptor_);
  if (session != nullptr) {
    SSL_set_session(ssl_, session);
  }
  return SSL_connect(ssl_) == 1;
}

bool RawClient::send(std::string_view text) {
  if (ssl_ != nullptr) {
    std::size_t sent = 0;
    return SSL_write_ex(ssl_, text.data(), text.size(), &sent) == 1;
  }
  while (!text.empty()) {
    const auto sent = ::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string RawClient::receive() {
  std::array<char, 16 * 1024> target;
  std::size_t received = 0;
  errno = 0;
  if (ssl_ != nullptr) {
    if (SSL_read_ex(ssl_, target.data(), target.size(), &received) != 1) {
      received = 0;
    }
  } else if (const auto count = ::recv(descriptor_, target.data(), target.size(), 0); count > 0) {
    received = static_cast<std::size_t>(count);
  }
  return {target.data(), received};
}

bool RawClient::is_closed_by_server() {
  while (true) {
    const std::string text = receive();
    if (text.empty()) {
      return errno != EAGAIN;
    }
  }
}

std::optional<RawAnswer> RawClient::receive_answer() {
  std::size_t head_bytes = 0;
  std::size_t all_bytes = std::string::npos;
  RawAnswer answer;
  while (input_.size() < all_bytes) {
    if (head_bytes == 0) {
      if (const std::size_t end = input_.find("\r\n\r\n"); end != std::string::npos) {
        head_bytes = end + 4;
        answer.head = input_.substr(0, head_bytes);
        all_bytes = head_bytes + std::stoul(answer.header("Content-Length").value_or("0"));
        continue;
      }
    }
    const std::string more = receive();
    if (more.empty()) {
      return std::nullopt;
    }
    input_ += more;
  }
  answer.status = std::stoi(answer.head.substr(9, 3));
  answer.body = input_.substr(head_bytes, all_bytes - head_bytes);
  input_.erase(0, all_bytes);
  return answer;
}

std::shared_ptr<SSL_CTX> raw_context(int version_min, int version_max) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), version_min);
  SSL_CTX_set_max_proto_version(context.get(), version_max);
  return context;
}

std::string get_request(std::string_view target) {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n";
}

std::string post_request(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

}  // namespace allium::control::test
