// SPDX-License-Identifier: Apache-2.0

// Return packets: blocks with any contents sealed under the relay's real key, of every depth.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dataplane/onion/time_index.hpp"
#include "tests/fuzz/relay_under_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using allium::fuzz::RelayUnderTest;
  std::array<std::uint8_t, 24> plain{};
  if (size < 1 + plain.size()) {
    return 0;
  }
  std::copy_n(data + 1, plain.size(), plain.begin());
  if ((data[0] & 4) != 0) {  // alive
    const std::uint64_t expiry =
        allium::onion::unit10_of(allium::fuzz::kNowMs) + allium::onion::kReturnLife10s;
    allium::store_be(plain.data() + 22, (plain[22] & 0xf0U) << 8 | (expiry & 0xfff), 2);
  }
  allium::fuzz::DatagramBytes datagram{};
  allium::fuzz::spread({data + 1 + plain.size(), size - 1 - plain.size()}, datagram);
  RelayUnderTest& relay = allium::fuzz::shared_relay();
  relay.seal_return(datagram, plain, data[0] & 3U);
  relay.seal_link(datagram, allium::onion::PacketType::r);
  relay.run(datagram, allium::onion::kLargeBytes, RelayUnderTest::peer_endpoint());
  return 0;
}
