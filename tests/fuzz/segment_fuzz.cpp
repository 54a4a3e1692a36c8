// SPDX-License-Identifier: Apache-2.0

// Forwarding segments with any contents under the relay's real keys, in data packets whose MACs are right.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dataplane/onion/time_index.hpp"
#include "tests/fuzz/relay_under_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using allium::fuzz::RelayUnderTest;
  constexpr std::size_t kPlainBytes = 16;
  if (size < 1 + kPlainBytes) {
    return 0;
  }
  const auto type = static_cast<allium::onion::PacketType>(1 + (data[0] & 3));
  allium::Block plain = allium::load_block(data + 1);
  if ((data[0] & 4) != 0) {  // alive: only the rest is the fuzzer's
    const std::uint16_t expiry =
        allium::onion::expiry_of_epoch(allium::onion::epoch_of(allium::fuzz::kNowMs));
    allium::store_be(plain.data() + 1, expiry, 2);
  }
  allium::fuzz::DatagramBytes datagram{};
  allium::fuzz::spread({data + 1 + kPlainBytes, size - 1 - kPlainBytes}, datagram);
  RelayUnderTest& relay = allium::fuzz::shared_relay();
  relay.seal_segment(datagram, type, plain);
  relay.seal_link(datagram, type);
  relay.run(datagram, allium::onion::type_info(type).total_bytes, RelayUnderTest::peer_endpoint());
  return 0;
}
