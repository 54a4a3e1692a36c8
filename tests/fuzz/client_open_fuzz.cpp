// SPDX-License-Identifier: Apache-2.0

// What a client makes of bytes from the network: backward packets and records.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "crypto_accel/base/check.hpp"
#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/path_record.hpp"
#include "tests/fuzz/relay_under_test.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using allium::onion::PacketClass;
  if (size < 2) {
    return 0;
  }
  const allium::Bytes datagram(data + 1, size - 1);
  const std::size_t hop_count = 1 + (data[0] & 3U);
  constexpr PacketClass kClasses[] = {PacketClass::d, PacketClass::v, PacketClass::r};
  const PacketClass packet_class = kClasses[(data[0] >> 2) % 3];
  std::array<allium::Secret<16>, 4> secrets;
  std::array<const allium::Secret<16>*, 4> pointers{};
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    secrets[i].bytes().fill(static_cast<std::uint8_t>(i));
    pointers[i] = &secrets[i];
  }
  static_cast<void>(allium::onion::read_backward_envelope(datagram));
  // Nobody without the keys makes a packet that opens.
  const auto opened = allium::onion::open_backward(packet_class, allium::fuzz::kNowMs,
                                                   std::span(pointers).first(hop_count), datagram);
  ALLIUM_CHECK(!opened.has_value());
  allium::onion::Record received{};
  std::copy_n(datagram.data(), std::min(datagram.size(), received.size()), received.begin());
  std::array<allium::onion::SetupHopKeys, 4> hops;
  ALLIUM_CHECK(!allium::onion::open_record(std::span(hops).first(hop_count), {}, received));
  return 0;
}
