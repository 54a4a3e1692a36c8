// SPDX-License-Identifier: Apache-2.0

// Setup packets with any rt, RSTACK, REC and payload behind right MACs, from clients with a cookie and from a peer.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/relay_under_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using allium::fuzz::RelayUnderTest;
  constexpr std::size_t kRtBytes = 16;
  if (size < 2 + kRtBytes) {
    return 0;
  }
  const unsigned choice = data[0];
  const auto type =
      (choice & 1) != 0 ? allium::onion::PacketType::s1 : allium::onion::PacketType::s0;
  allium::Block rt = allium::load_block(data + 2);
  if ((choice & 2) != 0) {  // the bytes that must be zero are, so that more gets through
    for (std::size_t i = 9; i < rt.size(); ++i) {
      rt[i] = 0;
    }
  }
  allium::fuzz::DatagramBytes datagram{};
  allium::fuzz::spread({data + 2 + kRtBytes, size - 2 - kRtBytes}, datagram);
  RelayUnderTest& relay = allium::fuzz::shared_relay();
  relay.seal_setup(datagram, type, rt, data[1]);
  allium::onion::Endpoint source = RelayUnderTest::peer_endpoint();
  if ((choice & 4) != 0) {
    source = RelayUnderTest::client_endpoint((choice & 8) != 0);
    relay.seal_client(datagram, type, source);
  } else {
    relay.seal_link(datagram, type);
  }
  relay.run(datagram, allium::onion::kLargeBytes, source);
  return 0;
}
