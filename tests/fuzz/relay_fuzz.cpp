// SPDX-License-Identifier: Apache-2.0

// Whole datagrams: from clients and from a peer, as they come, or with the link's veil and tag put right.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/relay_under_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using allium::fuzz::RelayUnderTest;
  if (size < 2) {
    return 0;
  }
  const unsigned choice = data[0];
  const allium::Bytes rest(data + 1, size - 1);
  allium::fuzz::DatagramBytes datagram{};
  std::size_t byte_count = std::min(rest.size(), datagram.size());
  if ((choice & 1) != 0) {
    allium::fuzz::spread(rest, datagram);
    byte_count = (choice & 2) != 0 ? 1232 : 256;
  } else {
    std::copy_n(rest.data(), byte_count, datagram.begin());
  }
  const unsigned nibble = datagram[0] & 15U;
  allium::onion::Endpoint source = RelayUnderTest::client_endpoint((choice & 4) != 0);
  if ((choice & 8) != 0) {
    source = RelayUnderTest::peer_endpoint();
    if ((choice & 16) != 0 && allium::onion::is_packet_type(nibble)) {
      const auto type = static_cast<allium::onion::PacketType>(nibble);
      byte_count = allium::onion::type_info(type).total_bytes;
      allium::fuzz::shared_relay().seal_link(datagram, type);
    }
  }
  allium::fuzz::shared_relay().run(datagram, byte_count, source);
  return 0;
}
