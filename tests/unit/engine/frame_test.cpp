// SPDX-License-Identifier: Apache-2.0
#include "dataplane/engine/frame.hpp"

#include <gtest/gtest.h>

#include "frame_bytes.hpp"

namespace allium::dataplane {
namespace {

constexpr MacAddress kOwnMac = {2, 0, 0, 0, 0, 1};
constexpr MacAddress kPeerMac = {2, 0, 0, 0, 0, 9};

onion::Endpoint v4(std::uint8_t last, std::uint16_t port) {
  const std::array<std::uint8_t, 4> address = {192, 0, 2, last};
  return onion::Endpoint::from_v4(address.data(), port);
}

onion::Endpoint v6(std::uint8_t last, std::uint16_t port) {
  std::array<std::uint8_t, 16> address = {0x20, 0x01, 0x0d, 0xb8};
  address[15] = last;
  return onion::Endpoint::from_v6(address.data(), port);
}

std::vector<std::uint8_t> payload_of(std::size_t byte_count) {
  std::vector<std::uint8_t> payload(byte_count);
  for (std::size_t i = 0; i < byte_count; ++i) {
    payload[i] = static_cast<std::uint8_t>(i * 7 + 1);
  }
  return payload;
}

class FrameOf : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] onion::Endpoint endpoint(std::uint8_t last, std::uint16_t port) const {
    return GetParam() ? v4(last, port) : v6(last, port);
  }

  [[nodiscard]] FrameAddresses addresses() const {
    return {kPeerMac, kOwnMac, endpoint(9, 40123), endpoint(1, 22100)};
  }

  [[nodiscard]] FrameBytes frame(std::size_t payload_bytes = 256) const {
    return make_frame(addresses(), payload_of(payload_bytes));
  }

  [[nodiscard]] std::size_t ip_bytes() const { return GetParam() ? 20 : 40; }

  PortIdentity identity_{kOwnMac, {v4(1, 0).address, v6(1, 0).address}, 22100};
};

TEST_P(FrameOf, IsReadWithItsSourceAndPayload) {
  for (const std::size_t byte_count : std::initializer_list<std::size_t>{0, 1, 32, 256, 1232}) {
    const auto parsed = parse_frame(frame(byte_count), identity_);
    ASSERT_TRUE(parsed) << byte_count;
    EXPECT_EQ(parsed->payload_offset, 14 + ip_bytes() + 8);
    EXPECT_EQ(parsed->payload_bytes, byte_count);
    EXPECT_EQ(parsed->source, endpoint(9, 40123));
  }
}

TEST_P(FrameOf, PaddingBehindTheDatagramIsNotPayload) {
  FrameBytes padded = frame(3);
  padded.resize(padded.size() + 21);
  const auto parsed = parse_frame(padded, identity_);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->payload_bytes, 3U);
}

TEST_P(FrameOf, CutAnywhereIsNotOurs) {
  const FrameBytes whole = frame(32);
  for (std::size_t byte_count = 0; byte_count < whole.size(); ++byte_count) {
    // A copy of exactly that size, so that a read behind its end is seen by a sanitizer.
    const FrameBytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(byte_count));
    EXPECT_FALSE(parse_frame(cut, identity_)) << byte_count;
  }
}

TEST_P(FrameOf, WithAnyLengthFieldStaysInsideTheFrame) {
  for (std::size_t stated = 0; stated <= 0xffff; ++stated) {
    FrameBytes changed = frame(32);
    store_be(changed.data() + 14 + ip_bytes() + 4, stated, 2);
    const auto parsed = parse_frame(changed, identity_);
    EXPECT_EQ(parsed.has_value(), stated >= 8 && stated <= 40) << stated;
  }
  for (std::size_t stated = 0; stated <= 0xffff; ++stated) {
    FrameBytes changed = frame(32);
    store_be(changed.data() + 14 + (GetParam() ? 2 : 4), stated, 2);
    const auto parsed = parse_frame(changed, identity_);
    if (parsed) {
      EXPECT_LE(parsed->payload_offset + parsed->payload_bytes, changed.size()) << stated;
    }
  }
}

TEST_P(FrameOf, ForSomebodyElseIsNotOurs) {
  FrameBytes other_mac = frame();
  other_mac[5] ^= 1;
  EXPECT_FALSE(parse_frame(other_mac, identity_));
  FrameBytes broadcast = frame();
  std::fill_n(broadcast.begin(), 6, std::uint8_t{0xff});
  EXPECT_FALSE(parse_frame(broadcast, identity_));
  FrameBytes other_address = frame();
  other_address[14 + ip_bytes() - 1] ^= 2;
  EXPECT_FALSE(parse_frame(other_address, identity_));
  FrameBytes other_port = frame();
  other_port[14 + ip_bytes() + 3] ^= 1;
  EXPECT_FALSE(parse_frame(other_port, identity_));
}

TEST_P(FrameOf, OfAnotherProtocolIsNotOurs) {
  FrameBytes tcp = frame();
  tcp[14 + (GetParam() ? 9 : 6)] = 6;
  EXPECT_FALSE(parse_frame(tcp, identity_));
  FrameBytes arp = frame();
  store_be(arp.data() + 12, 0x0806, 2);
  EXPECT_FALSE(parse_frame(arp, identity_));
  FrameBytes vlan = frame();
  store_be(vlan.data() + 12, 0x8100, 2);
  EXPECT_FALSE(parse_frame(vlan, identity_));
  FrameBytes other_version = frame();
  other_version[14] = static_cast<std::uint8_t>(other_version[14] ^ 0x20);
  EXPECT_FALSE(parse_frame(other_version, identity_));
}

TEST_P(FrameOf, FromASourceThatCannotBeAnsweredIsNotOurs) {
  FrameBytes port_zero = frame();
  store_be(port_zero.data() + 14 + ip_bytes(), 0, 2);
  EXPECT_FALSE(parse_frame(port_zero, identity_));
  const std::size_t source_offset = 14 + (GetParam() ? 12U : 8U);
  for (const std::uint8_t first : std::array<std::uint8_t, 5>{0, 127, 224, 239, 255}) {
    FrameBytes odd = frame();
    odd[source_offset] = first;
    EXPECT_EQ(parse_frame(odd, identity_).has_value(), !GetParam() && first != 255) << int{first};
  }
  FrameBytes loopback = frame();
  std::fill_n(loopback.begin() + static_cast<std::ptrdiff_t>(source_offset), GetParam() ? 0 : 15,
              std::uint8_t{0});
  loopback[source_offset + (GetParam() ? 0U : 15U)] = GetParam() ? 127 : 1;
  EXPECT_FALSE(parse_frame(loopback, identity_));
}

TEST_P(FrameOf, WithAnyChecksumIsOurs) {
  FrameBytes odd = frame();
  store_be(odd.data() + 14 + ip_bytes() + 6, 0x1234, 2);
  EXPECT_TRUE(parse_frame(odd, identity_));
}

TEST_P(FrameOf, OursIsSoundForEveryPayloadLength) {
  for (std::size_t byte_count = 0; byte_count <= 1232; ++byte_count) {
    const std::vector<std::uint8_t> payload = payload_of(byte_count);
    FrameBytes written(headers_bytes(GetParam()), 0xee);
    written.insert(written.end(), payload.begin(), payload.end());
    FrameAddresses back = addresses();
    write_headers(back, written.data() + headers_bytes(GetParam()), byte_count);
    EXPECT_TRUE(is_sound(written)) << byte_count;
    const auto parsed = parse_frame(written, identity_);
    ASSERT_TRUE(parsed) << byte_count;
    EXPECT_EQ(parsed->source, back.source);
    EXPECT_TRUE(std::equal(payload.begin(), payload.end(),
                           written.begin() + static_cast<std::ptrdiff_t>(parsed->payload_offset)));
  }
}

TEST_P(FrameOf, AChecksumThatComesOutAsZeroIsSentAsOnes) {
  // The payload's last word is chosen so that the sum is all ones, whose complement is 0.
  FrameBytes written(headers_bytes(GetParam()) + 4);
  std::uint8_t* payload = written.data() + headers_bytes(GetParam());
  write_headers(addresses(), payload, 4);
  const std::uint8_t* checksum = payload - 2;
  std::memcpy(payload + 2, checksum, 2);
  write_headers(addresses(), payload, 4);
  EXPECT_EQ(load_be(payload - 2, 2), 0xffffU);
  EXPECT_TRUE(is_sound(written));
}

INSTANTIATE_TEST_SUITE_P(BothFamilies, FrameOf, testing::Values(true, false),
                         [](const auto& shape) { return shape.param ? "V4" : "V6"; });

TEST(Frame, FragmentsAreNotOurs) {
  const PortIdentity identity{kOwnMac, {v4(1, 0).address}, 22100};
  const FrameBytes whole = make_frame({kPeerMac, kOwnMac, v4(9, 1), v4(1, 22100)}, payload_of(32));
  FrameBytes first = whole;
  first[14 + 6] = 0x20;  // more fragments
  EXPECT_FALSE(parse_frame(first, identity));
  FrameBytes later = whole;
  later[14 + 7] = 4;
  EXPECT_FALSE(parse_frame(later, identity));
  FrameBytes whole_by_wish = whole;
  whole_by_wish[14 + 6] = 0x40;  // do not fragment
  EXPECT_TRUE(parse_frame(whole_by_wish, identity));
}

TEST(Frame, OptionsOfIpv4AreSteppedOver) {
  const PortIdentity identity{kOwnMac, {v4(1, 0).address}, 22100};
  for (std::uint8_t words = 0; words <= 15; ++words) {
    FrameBytes frame = make_frame({kPeerMac, kOwnMac, v4(9, 1), v4(1, 22100)}, payload_of(32));
    const std::size_t extra = words > 5 ? (words - 5U) * 4U : 0U;
    frame.insert(frame.begin() + 14 + 20, extra, std::uint8_t{1});
    frame[14] = static_cast<std::uint8_t>(0x40 | words);
    store_be(frame.data() + 14 + 2, frame.size() - 14, 2);
    const auto parsed = parse_frame(frame, identity);
    ASSERT_EQ(parsed.has_value(), words >= 5) << int{words};
    if (parsed) {
      EXPECT_EQ(parsed->payload_offset, 14 + 20 + extra + 8);
      EXPECT_EQ(parsed->payload_bytes, 32U);
    }
  }
}

TEST(Frame, AnIpv4AddressInAnIpv6HeaderIsNotOurs) {
  const PortIdentity identity{kOwnMac, {v6(1, 0).address}, 22100};
  FrameBytes frame = make_frame({kPeerMac, kOwnMac, v6(9, 1), v6(1, 22100)}, payload_of(32));
  const onion::Endpoint mapped = v4(9, 1);
  std::copy(mapped.address.begin(), mapped.address.end(), frame.begin() + 14 + 8);
  EXPECT_FALSE(parse_frame(frame, identity));
}

TEST(Frame, ExtensionHeadersOfIpv6AreNotOurs) {
  const PortIdentity identity{kOwnMac, {v6(1, 0).address}, 22100};
  FrameBytes frame = make_frame({kPeerMac, kOwnMac, v6(9, 1), v6(1, 22100)}, payload_of(32));
  frame[14 + 6] = 44;  // fragment
  EXPECT_FALSE(parse_frame(frame, identity));
}

}  // namespace
}  // namespace allium::dataplane
