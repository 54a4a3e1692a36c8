// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/port_guard.hpp"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace allium::dataplane {

Result<PortGuard> PortGuard::open(std::uint16_t onion_port) {
  const auto failed = [&](const char* what) {
    return fail(Errc::unavailable, std::string(what) + " UDP port " + std::to_string(onion_port) +
                                       ": " + std::strerror(errno) +
                                       "; is another relay running here, or choose --port");
  };
  PortGuard guard;
  // One socket serves both families. Where IPv6 is switched off, IPv4 alone is all there is.
  guard.descriptor_ = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool has_v6 = guard.descriptor_ >= 0;
  if (!has_v6) {
    guard.descriptor_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
  if (guard.descriptor_ < 0) {
    return failed("cannot open a socket for");
  }
  sock_filter drop_all{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &drop_all};
  if (setsockopt(guard.descriptor_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return failed("cannot put a filter on");
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(onion_port);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(onion_port);
  const int off = 0;
  int code = 0;
  if (has_v6) {
    setsockopt(guard.descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    code = bind(guard.descriptor_, reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  } else {
    code = bind(guard.descriptor_, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  if (code != 0) {
    return failed("cannot reserve");
  }
  return guard;
}

PortGuard::~PortGuard() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

PortGuard::PortGuard(PortGuard&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

PortGuard& PortGuard::operator=(PortGuard&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

}  // namespace allium::dataplane
