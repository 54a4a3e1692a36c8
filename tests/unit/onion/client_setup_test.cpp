// SPDX-License-Identifier: Apache-2.0
// Setup and one-shot packets and the record that comes back, through hops written from the text.
#include <gtest/gtest.h>

#include "client_slow_relay.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/path_record.hpp"

namespace allium::onion {
namespace {

constexpr std::uint64_t kSlot = 225'001'054;
constexpr std::uint64_t kHour = 500'002;

struct Case {
  PacketType type;
  std::size_t hop_count;
};

class ClientSetup : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    hop_count_ = GetParam().hop_count;
    issued_ = slow::random_session(hop_count_, system_random());
    hops_.resize(hop_count_);
    for (std::size_t i = 0; i < hop_count_; ++i) {
      system_random()(onion_keys_[i].bytes());
      hops_[i].onion_key = crypto_accel::x25519_public(onion_keys_[i]);
      hops_[i].next = i + 1 < hop_count_ ? NextHop::to_relay(0x01020300U + static_cast<unsigned>(i))
                                         : NextHop::to_service(Service::echo);
      hops_[i].delay_10ms = static_cast<std::uint8_t>(i);
    }
    data_.resize(type_info(GetParam().type).x_r_bytes);
    system_random()(data_);
    system_random()(t_);
  }

  SetupPacket build() {
    SetupRequest request;
    request.type = GetParam().type;
    request.slot = kSlot;
    request.hour = kHour;
    request.hops = hops_;
    request.t = t_;
    request.data = data_;
    Result<SetupPacket> packet = build_setup(request, system_random());
    EXPECT_TRUE(packet);
    return std::move(*packet);
  }

  static MutableBytes bytes_of(SetupPacket& packet) {
    return MutableBytes(packet.datagram.bytes).first(packet.datagram.byte_count);
  }

  static Record record_of(SetupPacket& packet) {
    Record record;
    std::memcpy(
        record.data(),
        packet.datagram.bytes.data() + kLinkHeaderBytes + kSetupHeaderBytes + kReturnStackBytes,
        record.size());
    return record;
  }

  std::size_t hop_count_ = 0;
  PathSession issued_;
  std::vector<SetupHop> hops_;
  std::array<crypto_accel::PrivateKey, kHopsMax> onion_keys_;
  std::vector<std::uint8_t> data_;
  Block t_{};
};

class ClientPathOpen : public ClientSetup {};

TEST_P(ClientSetup, EveryHopReadsItsOwnRouteAndTheTerminalTheData) {
  SetupPacket packet = build();
  EXPECT_EQ(packet.datagram.bytes[kLinkHeaderBytes + 31] >> 7, kHour & 1);
  for (std::size_t i = 0; i < hop_count_; ++i) {
    const slow::SetupStep step =
        slow::relay_setup(bytes_of(packet), kSlot, onion_keys_[i], issued_.hop[i]);
    ASSERT_TRUE(step.good) << "hop " << i + 1;
    EXPECT_EQ(step.rt[0], static_cast<std::uint8_t>(hops_[i].next.type));
    EXPECT_TRUE(
        std::equal(hops_[i].next.next.begin(), hops_[i].next.next.end(), step.rt.begin() + 1));
    EXPECT_EQ(step.rt[7], i);
    EXPECT_EQ(step.rt[8], i);
    EXPECT_EQ(load_be(step.rt.data() + 9, 7), 0U);
    EXPECT_EQ(step.k_ret, packet.hop[i].k_ret.bytes());
    EXPECT_EQ(step.k_rec, packet.hop[i].k_rec.bytes());
  }
  const TypeInfo& info = type_info(GetParam().type);
  EXPECT_EQ(load_block(packet.datagram.bytes.data() + info.t_offset), t_);
  EXPECT_TRUE(
      std::equal(data_.begin(), data_.end(), packet.datagram.bytes.begin() + info.x_r_offset));
}

TEST_P(ClientPathOpen, TheRecordIsAcceptedOnlyUnchanged) {
  SetupPacket packet = build();
  const Record first = packet.record;
  EXPECT_EQ(first, record_of(packet));
  for (std::size_t i = 0; i < hop_count_; ++i) {
    ASSERT_TRUE(slow::relay_setup(bytes_of(packet), kSlot, onion_keys_[i], issued_.hop[i]).good);
  }
  const Record received = record_of(packet);
  const auto session = open_record(packet.hops(), first, received);
  ASSERT_TRUE(session);
  ASSERT_EQ(session->hop_count, hop_count_);
  for (std::size_t i = 0; i < hop_count_; ++i) {
    EXPECT_EQ(session->hop[i].segment_forward, issued_.hop[i].segment_forward);
    EXPECT_EQ(session->hop[i].segment_backward, issued_.hop[i].segment_backward);
    EXPECT_EQ(session->hop[i].secret.bytes(), issued_.hop[i].secret.bytes());
  }
  for (std::size_t at = 0; at < received.size(); ++at) {
    Record changed = received;
    changed[at] ^= 1;
    EXPECT_FALSE(open_record(packet.hops(), first, changed)) << "byte " << at;
  }
  if (hop_count_ < kHopsMax) {
    // Bytes that no hop pushed out show that the first record is covered too.
    Record other_first = first;
    other_first[0] ^= 1;
    EXPECT_FALSE(open_record(packet.hops(), other_first, received));
  }
}

TEST_P(ClientSetup, ABitChangedOutsideTheStackIsRefused) {
  SetupPacket packet = build();
  const TypeInfo& info = type_info(GetParam().type);
  for (std::size_t at = kLinkHeaderBytes; at < packet.datagram.byte_count; at += 3) {
    const bool in_stack = at >= kLinkHeaderBytes + kSetupHeaderBytes && at < info.t_offset;
    if (in_stack) {
      continue;
    }
    Datagram changed = packet.datagram;
    changed.bytes[at] ^= 1;
    EXPECT_FALSE(slow::relay_setup(MutableBytes(changed.bytes).first(changed.byte_count), kSlot,
                                   onion_keys_[0], issued_.hop[0])
                     .good)
        << "byte " << at;
  }
}

TEST_P(ClientSetup, TheCookieChangesNothingElse) {
  SetupPacket packet = build();
  const Datagram before = packet.datagram;
  const Cookie mark = packet.challenge_mark();
  put_cookie(bytes_of(packet), Cookie{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(mark, packet.challenge_mark());
  for (std::size_t at = 0; at < before.byte_count; ++at) {
    const bool in_cookie = at >= kLastOffset && at < kLastOffset + kLastBytes;
    EXPECT_EQ(packet.datagram.bytes[at], in_cookie ? at - kLastOffset + 1 : before.bytes[at]);
  }
}

TEST_P(ClientSetup, NothingIsSharedByTwoPackets) {
  const SetupPacket one = build();
  const SetupPacket two = build();
  EXPECT_NE(one.stack_tag, two.stack_tag);
  for (std::size_t at = kLinkHeaderBytes; at + 16 <= one.datagram.byte_count; at += 16) {
    EXPECT_NE(load_block(one.datagram.bytes.data() + at),
              load_block(two.datagram.bytes.data() + at));
  }
}

std::string case_name(const testing::TestParamInfo<Case>& tested) {
  return std::string(type_info(tested.param.type).name) + "_" +
         std::to_string(tested.param.hop_count);
}

const auto kPathOpens = testing::Values(Case{PacketType::s1, 1}, Case{PacketType::s1, 2},
                                        Case{PacketType::s1, 3}, Case{PacketType::s1, 4});
const auto kOneShots = testing::Values(Case{PacketType::s0, 1}, Case{PacketType::s0, 2},
                                       Case{PacketType::s0, 3}, Case{PacketType::s0, 4});

INSTANTIATE_TEST_SUITE_P(OneShots, ClientSetup, kOneShots, case_name);
INSTANTIATE_TEST_SUITE_P(PathOpens, ClientSetup, kPathOpens, case_name);
INSTANTIATE_TEST_SUITE_P(PathOpens, ClientPathOpen, kPathOpens, case_name);

TEST(ClientSetupRefuses, WhatNoPacketCanHold) {
  std::vector<SetupHop> hops(5);
  crypto_accel::PrivateKey key;
  for (SetupHop& hop : hops) {
    system_random()(key.bytes());
    hop.onion_key = crypto_accel::x25519_public(key);
    hop.next = NextHop::to_service(Service::echo);
  }
  SetupRequest request;
  request.hops = hops;
  EXPECT_EQ(build_setup(request, system_random()).error().code, Errc::out_of_range);
  request.hops = {};
  EXPECT_EQ(build_setup(request, system_random()).error().code, Errc::out_of_range);
  request.hops = std::span(hops).first(1);
  const std::vector<std::uint8_t> too_long(545);
  request.data = too_long;
  EXPECT_EQ(build_setup(request, system_random()).error().code, Errc::out_of_range);
  request.data = {};
  request.type = PacketType::r;
  EXPECT_EQ(build_setup(request, system_random()).error().code, Errc::out_of_range);
}

TEST(ClientSetupRefuses, AnOnionKeyOfLowOrder) {
  std::vector<SetupHop> hops(1);  // the point 0
  hops[0].next = NextHop::to_service(Service::echo);
  SetupRequest request;
  request.hops = hops;
  const auto packet = build_setup(request, system_random());
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error().code, Errc::malformed);
}

}  // namespace
}  // namespace allium::onion
