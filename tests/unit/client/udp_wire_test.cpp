// SPDX-License-Identifier: Apache-2.0
// Real sockets on the loopback interface.
#include "tools/client/udp_wire.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include <gtest/gtest.h>

namespace allium::client {
namespace {

/// Sends back what it gets, when asked to.
class EchoSocket {
 public:
  explicit EchoSocket(int family) : family_(family) {
    socket_ = ::socket(family, SOCK_DGRAM, 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET6) {
      sockaddr_in6 local{};
      local.sin6_family = AF_INET6;
      local.sin6_addr = in6addr_loopback;
      std::memcpy(&address, &local, sizeof(local));
    } else {
      sockaddr_in local{};
      local.sin_family = AF_INET;
      local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      std::memcpy(&address, &local, sizeof(local));
    }
    const socklen_t bytes = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    usable =
        socket_ >= 0 && ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), bytes) == 0;
  }

  ~EchoSocket() { ::close(socket_); }

  EchoSocket(const EchoSocket&) = delete;
  EchoSocket& operator=(const EchoSocket&) = delete;

  [[nodiscard]] onion::Endpoint endpoint() const {
    sockaddr_storage address{};
    socklen_t bytes = sizeof(address);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    if (family_ == AF_INET6) {
      sockaddr_in6 local{};
      std::memcpy(&local, &address, sizeof(local));
      return onion::Endpoint::from_v6(in6addr_loopback.s6_addr, ntohs(local.sin6_port));
    }
    sockaddr_in local{};
    std::memcpy(&local, &address, sizeof(local));
    const std::array<std::uint8_t, 4> loopback = {127, 0, 0, 1};
    return onion::Endpoint::from_v4(loopback.data(), ntohs(local.sin_port));
  }

  /// Takes one datagram and sends `answers` to where it came from.
  void answer(const std::vector<std::size_t>& sizes) {
    std::array<std::uint8_t, 2048> buffer{};
    sockaddr_storage peer{};
    socklen_t bytes = sizeof(peer);
    ASSERT_GT(::recvfrom(socket_, buffer.data(), buffer.size(), 0,
                         reinterpret_cast<sockaddr*>(&peer), &bytes),
              0);
    for (const std::size_t size : sizes) {
      ASSERT_EQ(
          ::sendto(socket_, buffer.data(), size, 0, reinterpret_cast<sockaddr*>(&peer), bytes),
          static_cast<ssize_t>(size));
    }
  }

  bool usable = false;

 private:
  int family_;
  int socket_ = -1;
};

class UdpWireFamily : public testing::TestWithParam<int> {};

TEST_P(UdpWireFamily, SendsReceivesAndSkipsWhatIsTooLong) {
  EchoSocket peer(GetParam());
  if (!peer.usable) {
    GTEST_SKIP() << "this machine has no loopback address of that family";
  }
  auto wire = UdpWire::open();
  ASSERT_TRUE(wire);
  const std::array<std::uint8_t, 100> datagram{1, 2, 3};
  (*wire)->send(peer.endpoint(), datagram);
  peer.answer({1500, 100, 1232});
  std::array<std::uint8_t, 1232> buffer;
  const auto first = (*wire)->receive(buffer, (*wire)->now().tick_us + 2'000'000);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->byte_count, 100U);
  EXPECT_EQ(first->source, peer.endpoint());
  EXPECT_EQ(std::memcmp(buffer.data(), datagram.data(), datagram.size()), 0);
  const auto second = (*wire)->receive(buffer, (*wire)->now().tick_us + 2'000'000);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->byte_count, 1232U);
  EXPECT_FALSE((*wire)->receive(buffer, 0));
}

INSTANTIATE_TEST_SUITE_P(Families, UdpWireFamily, testing::Values(AF_INET, AF_INET6),
                         [](const testing::TestParamInfo<int>& tested) {
                           return std::string(tested.param == AF_INET ? "v4" : "v6");
                         });

TEST(UdpWire, AClosedPortIsSilenceAndHarmsNobodyElse) {
  auto wire = UdpWire::open();
  ASSERT_TRUE(wire);
  onion::Endpoint closed;
  {
    const EchoSocket gone(AF_INET);
    closed = gone.endpoint();
  }
  EchoSocket peer(AF_INET);
  const std::array<std::uint8_t, 10> datagram{};
  std::array<std::uint8_t, 1232> buffer;
  for (int i = 0; i < 3; ++i) {
    (*wire)->send(closed, datagram);
    EXPECT_FALSE((*wire)->receive(buffer, (*wire)->now().tick_us + 5'000));
    (*wire)->send(peer.endpoint(), datagram);
    peer.answer({10});
    EXPECT_TRUE((*wire)->receive(buffer, (*wire)->now().tick_us + 2'000'000));
  }
}

TEST(UdpWire, WaitsUntilTheDeadlineAndNotLonger) {
  auto wire = UdpWire::open();
  ASSERT_TRUE(wire);
  std::array<std::uint8_t, 1232> buffer;
  const std::uint64_t start_us = (*wire)->now().tick_us;
  EXPECT_FALSE((*wire)->receive(buffer, start_us + 300'000));
  const std::uint64_t waited_us = (*wire)->now().tick_us - start_us;
  EXPECT_GE(waited_us, 300'000U);
  EXPECT_LT(waited_us, 5'000'000U);
}

}  // namespace
}  // namespace allium::client
