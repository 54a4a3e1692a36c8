// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/controller.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "crypto_accel/base/check.hpp"
#include "crypto_accel/base/secret.hpp"

namespace allium::control_port {
namespace {

std::int64_t monotonic_ms() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

tl::unexpected<Error> gone(int error) {
  return fail(Errc::unavailable,
              std::string("the dataplane process has gone: ") + std::strerror(error));
}

bool would_block() noexcept {
  return errno == EAGAIN || errno == EINTR;
}

}  // namespace

Result<int> create_sealed_memory(const std::string& name, std::size_t byte_count) {
  const int memory = memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (memory < 0 || ftruncate(memory, static_cast<off_t>(byte_count)) != 0 ||
      fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    const std::string why = std::strerror(errno);
    if (memory >= 0) {
      close(memory);
    }
    return fail(Errc::unavailable, "no memory for " + name + ": " + why);
  }
  return memory;
}

struct Controller::Descriptors {
  int replay = -1;
  int handles = -1;
};

struct Controller::Deadline {
  explicit Deadline(int timeout_ms) : end_ms(monotonic_ms() + timeout_ms) {}

  std::int64_t end_ms;
};

Controller::~Controller() {
  if (socket_ >= 0) {
    close(socket_);
  }
}

Controller::Controller(Controller&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      buffer_(std::move(other.buffer_)),
      welcome_(std::move(other.welcome_)),
      deliveries_(std::move(other.deliveries_)),
      deliveries_lost_(other.deliveries_lost_) {}

Controller& Controller::operator=(Controller&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(buffer_, other.buffer_);
  std::swap(welcome_, other.welcome_);
  std::swap(deliveries_, other.deliveries_);
  std::swap(deliveries_lost_, other.deliveries_lost_);
  return *this;
}

Result<Controller> Controller::connect(const std::string& path, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(Errc::io,
                "control socket " + path + ": the path is too long; at most 107 characters");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  Controller controller(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (controller.socket_ < 0) {
    return fail(Errc::io, std::string("no socket: ") + std::strerror(errno));
  }
  if (::connect(controller.socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
      0) {
    const bool is_absent = errno == ENOENT || errno == ECONNREFUSED || errno == EAGAIN;
    return fail(is_absent ? Errc::unavailable : Errc::io,
                "control socket " + path + ": " + std::strerror(errno));
  }
  if (const auto sent = controller.send_bytes(encode(Hello{}), {}, deadline); !sent) {
    return tl::unexpected(sent.error());
  }
  auto welcome = controller.await<Welcome>(deadline);
  if (!welcome) {
    return tl::unexpected(welcome.error());
  }
  if (welcome->version != kProtocolVersion) {
    return fail(Errc::refused, "the dataplane speaks another version of the control protocol");
  }
  controller.welcome_ = std::move(*welcome);
  return controller;
}

Result<void> Controller::wait_for(short events, const Deadline& deadline) const {
  for (;;) {
    const std::int64_t left_ms = std::max<std::int64_t>(deadline.end_ms - monotonic_ms(), 0);
    pollfd wait{socket_, events, 0};
    const int count = poll(&wait, 1, static_cast<int>(left_ms));
    if (count > 0) {
      return {};
    }
    if (count == 0) {
      return fail(Errc::timeout, "the dataplane does not answer its control socket");
    }
    if (errno != EINTR) {
      return fail(Errc::io, std::string("poll: ") + std::strerror(errno));
    }
  }
}

Result<void> Controller::send_bytes(std::vector<std::uint8_t> bytes, const Descriptors& descriptors,
                                    const Deadline& deadline) {
  iovec vector{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  const std::array<int, 2> passed = {descriptors.replay, descriptors.handles};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof passed)> control{};
  if (descriptors.replay >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof passed);
    std::memcpy(CMSG_DATA(part), passed.data(), sizeof passed);
  }
  Result<void> done;
  while (done && sendmsg(socket_, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    done = would_block() ? wait_for(POLLOUT, deadline) : Result<void>(gone(errno));
  }
  wipe(bytes.data(), bytes.size());
  return done;
}

Result<std::optional<Message>> Controller::receive_one() {
  const ssize_t count = recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (count < 0) {
    if (would_block()) {
      return std::optional<Message>();
    }
    return gone(errno);
  }
  if (count == 0) {
    return gone(ECONNRESET);
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

void Controller::keep(Deliveries&& message) {
  for (DeliveryRecord& record : message.records) {
    if (deliveries_.size() < kDeliveriesMax) {
      deliveries_.push_back(std::move(record));
    } else {
      ++deliveries_lost_;
    }
  }
}

// The next message of that kind. Deliveries come at any time and are kept; anything else is out of order.
template <typename Answer>
Result<Answer> Controller::await(const Deadline& deadline) {
  for (;;) {
    auto message = receive_one();
    if (!message) {
      return tl::unexpected(message.error());
    }
    if (!*message) {
      if (const auto readable = wait_for(POLLIN, deadline); !readable) {
        return tl::unexpected(readable.error());
      }
      continue;
    }
    if (auto* answer = std::get_if<Answer>(&**message)) {
      return std::move(*answer);
    }
    if (auto* deliveries = std::get_if<Deliveries>(&**message)) {
      keep(std::move(*deliveries));
      continue;
    }
    if (const auto* refused = std::get_if<Refused>(&**message)) {
      return fail(Errc::refused, "the dataplane refused: " + refused->reason);
    }
    return fail(Errc::malformed, "the dataplane answered out of order");
  }
}

Result<Accepted> Controller::await_accepted(std::uint64_t serial, const Deadline& deadline) {
  auto accepted = await<Accepted>(deadline);
  if (accepted && accepted->serial != serial) {
    return fail(Errc::malformed, "the dataplane accepted something else than it was sent");
  }
  return accepted;
}

Result<Accepted> Controller::configure(const Configure& message, int replay_memory,
                                       int handle_memory, int timeout_ms) {
  const Deadline deadline(timeout_ms);
  const auto sent = send_bytes(encode(message), {replay_memory, handle_memory}, deadline);
  if (!sent) {
    return tl::unexpected(sent.error());
  }
  return await_accepted(0, deadline);
}

Result<Accepted> Controller::publish(SnapshotBegin begin, std::vector<onion::PeerConfig> peers,
                                     int timeout_ms) {
  ALLIUM_CHECK(begin.peer_count == peers.size());
  const Deadline deadline(timeout_ms);
  const std::uint64_t serial = begin.serial;
  auto sent = send_bytes(encode(Message(std::move(begin))), {}, deadline);
  for (std::size_t first = 0; sent && first < peers.size(); first += kPeersPerChunkMax) {
    SnapshotPeers chunk;
    chunk.serial = serial;
    const std::size_t end = std::min(first + kPeersPerChunkMax, peers.size());
    for (std::size_t i = first; i < end; ++i) {
      chunk.peers.push_back(std::move(peers[i]));
    }
    sent = send_bytes(encode(Message(std::move(chunk))), {}, deadline);
  }
  if (sent) {
    sent = send_bytes(encode(SnapshotCommit{serial}), {}, deadline);
  }
  if (!sent) {
    return tl::unexpected(sent.error());
  }
  return await_accepted(serial, deadline);
}

Result<Counters> Controller::counters(int timeout_ms) {
  const Deadline deadline(timeout_ms);
  const auto sent = send_bytes(encode(CountersRequest{}), {}, deadline);
  if (!sent) {
    return tl::unexpected(sent.error());
  }
  return await<Counters>(deadline);
}

Result<void> Controller::send(const Message& message, int timeout_ms) {
  return send_bytes(encode(message), {}, Deadline(timeout_ms));
}

Result<void> Controller::read_arrived() {
  for (;;) {
    auto message = receive_one();
    if (!message) {
      return tl::unexpected(message.error());
    }
    if (!*message) {
      return {};
    }
    auto* deliveries = std::get_if<Deliveries>(&**message);
    if (deliveries == nullptr) {
      return fail(Errc::malformed, "the dataplane sent an answer that nobody asked for");
    }
    keep(std::move(*deliveries));
  }
}

}  // namespace allium::control_port
