// SPDX-License-Identifier: Apache-2.0
#include "tools/client/udp_wire.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace allium::client {
namespace {

// A window of 256 packets of 1232 bytes, each 2304 bytes in the kernel's accounts, and as much again.
constexpr int kSocketBufferBytes = 2 * 256 * 2304;
constexpr std::uint64_t kSecondUs = 1'000'000;

volatile std::sig_atomic_t interrupt_seen = 0;

void note_interrupt(int) {
  interrupt_seen = 1;
}

int open_socket(int family) {
  const int socket_fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (socket_fd < 0) {
    return -1;
  }
  // Less than asked for is not an error: a smaller buffer loses packets, and they are sent again. Only the
  // privileged call goes beyond the system's limit, so it comes second and may fail.
  for (const int option : {SO_RCVBUF, SO_RCVBUFFORCE, SO_SNDBUF}) {
    static_cast<void>(::setsockopt(socket_fd, SOL_SOCKET, option, &kSocketBufferBytes,
                                   sizeof(kSocketBufferBytes)));
  }
  if (family == AF_INET6) {
    const int only_v6 = 1;
    static_cast<void>(
        ::setsockopt(socket_fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6)));
  }
  return socket_fd;
}

socklen_t to_sockaddr(const onion::Endpoint& endpoint, sockaddr_storage& storage) {
  std::memset(&storage, 0, sizeof(storage));
  if (endpoint.is_v4()) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    std::memcpy(&address.sin_addr, endpoint.v4(), 4);
    std::memcpy(&storage, &address, sizeof(address));
    return sizeof(address);
  }
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address.data(), 16);
  std::memcpy(&storage, &address, sizeof(address));
  return sizeof(address);
}

onion::Endpoint from_sockaddr(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in address;
    std::memcpy(&address, &storage, sizeof(address));
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &address.sin_addr, bytes.size());
    return onion::Endpoint::from_v4(bytes.data(), ntohs(address.sin_port));
  }
  sockaddr_in6 address;
  std::memcpy(&address, &storage, sizeof(address));
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &address.sin6_addr, bytes.size());
  return onion::Endpoint::from_v6(bytes.data(), ntohs(address.sin6_port));
}

std::uint64_t read_clock_us(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecondUs +
         static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

}  // namespace

Result<std::unique_ptr<UdpWire>> UdpWire::open() {
  std::unique_ptr<UdpWire> wire(new UdpWire);
  wire->socket_v4_ = open_socket(AF_INET);
  if (wire->socket_v4_ < 0) {
    return fail(Errc::io, std::string("cannot open a UDP socket: ") + std::strerror(errno));
  }
  wire->socket_v6_ = open_socket(AF_INET6);
  return wire;
}

UdpWire::~UdpWire() {
  for (const int socket_fd : {socket_v4_, socket_v6_}) {
    if (socket_fd >= 0) {
      ::close(socket_fd);
    }
  }
}

void UdpWire::catch_interrupts() {
  struct sigaction action {};

  action.sa_handler = note_interrupt;  // no SA_RESTART: poll must come back
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool UdpWire::interrupted() {
  return interrupt_seen != 0;
}

Moment UdpWire::now() {
  return {read_clock_us(CLOCK_REALTIME) / 1000, read_clock_us(CLOCK_MONOTONIC)};
}

void UdpWire::send(const onion::Endpoint& target, Bytes datagram) {
  sockaddr_storage address;
  const socklen_t address_bytes = to_sockaddr(target, address);
  const int socket_fd = target.is_v4() ? socket_v4_ : socket_v6_;
  if (socket_fd < 0) {
    return;
  }
  // A full socket buffer, a missing route or an old ICMP error: all are a lost datagram.
  static_cast<void>(::sendto(socket_fd, datagram.data(), datagram.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), address_bytes));
}

std::optional<Wire::Arrival> UdpWire::take(int socket, MutableBytes buffer) {
  if (socket < 0) {
    return std::nullopt;
  }
  sockaddr_storage address{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = sizeof(address);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  // Datagrams longer than any of ours are skipped here; the bound keeps a flood from holding us.
  for (int tries = 0; tries < 16; ++tries) {
    const ssize_t byte_count = ::recvmsg(socket, &message, 0);
    if (byte_count < 0) {
      if (errno == EAGAIN) {
        return std::nullopt;
      }
      continue;  // EINTR, or an error that an ICMP message left behind
    }
    if ((message.msg_flags & MSG_TRUNC) == 0) {
      return Arrival{from_sockaddr(address), static_cast<std::size_t>(byte_count)};
    }
  }
  return std::nullopt;
}

std::optional<Wire::Arrival> UdpWire::receive(MutableBytes buffer, std::uint64_t deadline_us) {
  for (;;) {
    const std::array<int, 2> order = v6_first_ ? std::array<int, 2>{socket_v6_, socket_v4_}
                                               : std::array<int, 2>{socket_v4_, socket_v6_};
    v6_first_ = !v6_first_;
    for (const int socket_fd : order) {
      if (std::optional<Arrival> arrival = take(socket_fd, buffer)) {
        return arrival;
      }
    }
    const std::uint64_t now_us = read_clock_us(CLOCK_MONOTONIC);
    if (now_us >= deadline_us || interrupted()) {
      return std::nullopt;
    }
    // A ceiling on one wait closes the gap between the test of the flag and the call of poll.
    const std::uint64_t wait_us = std::min(deadline_us - now_us, kSecondUs / 4);
    const timespec wait{static_cast<time_t>(wait_us / kSecondUs),
                        static_cast<long>(wait_us % kSecondUs * 1000)};
    std::array<pollfd, 2> polled = {pollfd{socket_v4_, POLLIN, 0}, pollfd{socket_v6_, POLLIN, 0}};
    static_cast<void>(::ppoll(polled.data(), polled.size(), &wait, nullptr));
  }
}

}  // namespace allium::client
