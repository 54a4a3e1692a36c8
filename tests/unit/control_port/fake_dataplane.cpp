// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control_port/fake_dataplane.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "crypto_accel/base/check.hpp"

namespace allium::control_port::test {

FakeConnection::~FakeConnection() {
  for (const int descriptor : descriptors) {
    close(descriptor);
  }
  close(socket_);
}

void FakeConnection::send(const Message& message) const {
  send_raw(encode(message));
}

void FakeConnection::send_raw(Bytes bytes) const {
  static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
}

std::optional<Message> FakeConnection::receive() {
  std::vector<std::uint8_t> buffer(kMessageBytesMax);
  alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
  iovec vector{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t count = recvmsg(socket_, &header, MSG_CMSG_CLOEXEC);
  if (count <= 0) {
    return std::nullopt;
  }
  const cmsghdr* const part = CMSG_FIRSTHDR(&header);
  if (part != nullptr && part->cmsg_type == SCM_RIGHTS) {
    descriptors.resize((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(descriptors.data(), CMSG_DATA(part), descriptors.size() * sizeof(int));
  }
  auto message = decode(Bytes(buffer).first(static_cast<std::size_t>(count)));
  ALLIUM_CHECK(message.has_value());
  return std::move(*message);
}

void FakeConnection::greet() {
  const auto hello = receive();
  ALLIUM_CHECK(hello && std::holds_alternative<Hello>(*hello));
  Welcome welcome;
  welcome.pid = 4711;
  welcome.device = "fake";
  send(welcome);
}

FakeDataplane::FakeDataplane(Script script) {
  std::array<char, 40> folder{"/tmp/allium-control-XXXXXX"};
  ALLIUM_CHECK(mkdtemp(folder.data()) != nullptr);
  folder_ = folder.data();
  path_ = folder_ + "/dp.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  ALLIUM_CHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
               listen(listener_, 1) == 0);
  thread_ = std::thread([this, run = std::move(script)] {
    const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted < 0) {
      return;
    }
    const timeval patience{5, 0};
    setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(accepted, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    FakeConnection connection(accepted);
    run(connection);
  });
}

FakeDataplane::~FakeDataplane() {
  shutdown(listener_, SHUT_RDWR);  // wakes accept() where nobody came
  thread_.join();
  close(listener_);
  unlink(path_.c_str());
  rmdir(folder_.c_str());
}

}  // namespace allium::control_port::test
