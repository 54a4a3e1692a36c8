// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/controller.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control_port {
namespace {

tl::unexpected<Error> gone(const char* what) {
  return fail(Errc::unavailable,
              std::string("the dataplane has gone while ") + what + ": " + std::strerror(errno));
}

bool would_block() noexcept {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

Result<Controller> Controller::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::io,
                "control socket " + path + ": the path is too long; at most 107 characters");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) {
    return fail(Errc::io, std::string("no socket: ") + std::strerror(errno));
  }
  Controller controller(socket);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const bool is_absent = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN;
    return fail(is_absent ? Errc::not_found : Errc::io,
                "control socket " + path + ": " + std::strerror(errno));
  }
  if (const auto sent = controller.send(Hello{}); !sent) {
    return tl::unexpected(sent.error());
  }
  return controller;
}

Controller::~Controller() {
  if (socket_ >= 0) {
    close(socket_);
  }
  for (Outgoing& message : queue_) {
    wipe(message.bytes.data(), message.bytes.size());
  }
}

Controller::Controller(Controller&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      queue_(std::move(other.queue_)),
      queued_bytes_(std::exchange(other.queued_bytes_, 0)),
      buffer_(std::move(other.buffer_)) {
  other.queue_.clear();
}

Controller& Controller::operator=(Controller&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(queue_, other.queue_);
  std::swap(queued_bytes_, other.queued_bytes_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

bool Controller::send_now(const Outgoing& message) const noexcept {
  iovec vector{const_cast<std::uint8_t*>(message.bytes.data()), message.bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  const std::array<int, 2> descriptors = {message.replay, message.handles};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof descriptors)> control{};
  if (message.replay >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptors);
    std::memcpy(CMSG_DATA(part), descriptors.data(), sizeof descriptors);
  }
  return sendmsg(socket_, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

Result<void> Controller::enqueue(std::vector<Outgoing> messages) {
  std::size_t byte_count = 0;
  for (const Outgoing& message : messages) {
    byte_count += message.bytes.size();
  }
  if (queued_bytes_ + byte_count > kQueueBytesMax) {
    for (Outgoing& message : messages) {
      wipe(message.bytes.data(), message.bytes.size());
    }
    return fail(Errc::full, "the dataplane does not read its control socket");
  }
  queued_bytes_ += byte_count;
  std::move(messages.begin(), messages.end(), std::back_inserter(queue_));
  return flush();
}

Result<void> Controller::flush() {
  while (!queue_.empty()) {
    Outgoing& message = queue_.front();
    if (!send_now(message)) {
      return would_block() ? Result<void>{} : gone("being sent a message");
    }
    queued_bytes_ -= message.bytes.size();
    wipe(message.bytes.data(), message.bytes.size());
    queue_.pop_front();
  }
  return {};
}

Result<void> Controller::send(const Message& message) {
  std::vector<Outgoing> messages;
  messages.push_back({encode(message)});
  return enqueue(std::move(messages));
}

Result<void> Controller::configure(const PersistentMemory& memory,
                                   std::uint64_t slot_floor_if_new) {
  std::vector<Outgoing> messages;
  messages.push_back({encode(memory.configure(slot_floor_if_new)), memory.replay_descriptor(),
                      memory.handles_descriptor()});
  return enqueue(std::move(messages));
}

Result<void> Controller::send_snapshot(SnapshotBegin begin, std::vector<onion::PeerConfig> peers) {
  ALLIUM_CHECK(begin.peer_count == peers.size());
  const std::uint64_t serial = begin.serial;
  std::vector<Outgoing> messages;
  messages.push_back({encode(Message(std::move(begin)))});
  for (std::size_t first = 0; first < peers.size(); first += kPeersPerChunkMax) {
    SnapshotPeers chunk;
    chunk.serial = serial;
    const std::size_t end = std::min(first + kPeersPerChunkMax, peers.size());
    for (std::size_t i = first; i < end; ++i) {
      chunk.peers.push_back(std::move(peers[i]));
    }
    messages.push_back({encode(Message(std::move(chunk)))});
  }
  messages.push_back({encode(SnapshotCommit{serial})});
  return enqueue(std::move(messages));
}

Result<std::optional<Message>> Controller::receive() {
  const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (count < 0) {
    if (would_block()) {
      return std::optional<Message>();
    }
    return gone("being read");
  }
  if (count == 0) {
    errno = ECONNRESET;
    return gone("being read");
  }
  const auto byte_count = static_cast<std::size_t>(count);
  if (byte_count > buffer_.size()) {
    return fail(Errc::malformed, "the dataplane sent a message beyond the bound");
  }
  auto message = decode(Bytes(buffer_).first(byte_count));
  if (!message) {
    return tl::unexpected(message.error());
  }
  return std::optional<Message>(std::move(*message));
}

}  // namespace allium::control_port
