// SPDX-License-Identifier: Apache-2.0
// D and V packets and reply blocks, as clients build them, through hops written from the text.
#include <gtest/gtest.h>

#include "client_slow_relay.hpp"
#include "crypto_accel/base/random.hpp"
#include "dataplane/onion/backward_open.hpp"

namespace allium::onion {
namespace {

constexpr std::uint64_t kSlot = 225'001'054;
constexpr std::uint64_t kNowMs = kSlot * kSlotSeconds * 1000 + 3000;

struct Case {
  PacketClass packet_class;
  std::size_t hop_count;
};

std::vector<std::uint8_t> random_bytes(std::size_t byte_count) {
  std::vector<std::uint8_t> bytes(byte_count);
  system_random()(bytes);
  return bytes;
}

class ClientData : public testing::TestWithParam<Case> {
 protected:
  PacketClass packet_class_ = GetParam().packet_class;
  std::size_t hop_count_ = GetParam().hop_count;
  PathSession session_ = slow::random_session(GetParam().hop_count, system_random());
  const TypeInfo& forward_ = type_info(data_type(packet_class_, Direction::forward));

  /// The answer to `seq` as it reaches the client, each node with its own stamp (entry first).
  Datagram bring_back(const ReplyBlock& block, Bytes data, std::uint64_t seq,
                      const std::vector<std::uint64_t>& stamps) {
    Datagram datagram = slow::answer(packet_class_, block.view(), session_.hop[hop_count_ - 1],
                                     stamps[hop_count_ - 1], seq, data);
    EXPECT_NE(datagram.byte_count, 0U);
    for (std::size_t i = hop_count_ - 1; i-- > 0;) {
      EXPECT_TRUE(slow::relay_back(bytes_of(datagram), packet_class_, stamps[i + 1], stamps[i],
                                   session_.hop[i]));
    }
    return datagram;
  }

  static MutableBytes bytes_of(Datagram& datagram) {
    return MutableBytes(datagram.bytes).first(datagram.byte_count);
  }

  auto open(const Datagram& datagram, std::uint64_t now_ms = kNowMs) {
    const auto secrets = slow::secrets_of(session_);
    return open_backward(packet_class_, now_ms, secrets, datagram.view());
  }
};

class ClientDataOverRelays : public ClientData {};

TEST_P(ClientData, ReachesTheTerminalUnchanged) {
  const std::vector<std::uint8_t> data = random_bytes(forward_.x_r_bytes);
  const Block t = flow_and_seq(0x1122334455667788, 42);
  Result<Datagram> packet =
      build_data(packet_class_, kSlot, session_.hops(), t, data, system_random());
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->byte_count, forward_.total_bytes);
  for (std::size_t i = 0; i < hop_count_; ++i) {
    EXPECT_TRUE(slow::relay_data(MutableBytes(packet->bytes).first(packet->byte_count),
                                 packet_class_, kSlot, session_.hop[i]))
        << "hop " << i + 1;
  }
  EXPECT_EQ(load_block(packet->bytes.data() + forward_.t_offset), t);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), packet->bytes.begin() + forward_.x_r_offset));
}

TEST_P(ClientData, IsRefusedByTheNextHopWhereverABitChanges) {
  const Result<Datagram> packet = build_data(packet_class_, kSlot, session_.hops(), Block{},
                                             random_bytes(100), system_random());
  ASSERT_TRUE(packet);
  for (std::size_t at = kLinkHeaderBytes; at < packet->byte_count; ++at) {
    Datagram changed = *packet;
    changed.bytes[at] ^= 0x10;
    EXPECT_FALSE(slow::relay_data(MutableBytes(changed.bytes).first(changed.byte_count),
                                  packet_class_, kSlot, session_.hop[0]))
        << "byte " << at;
  }
}

TEST_P(ClientData, ShortDataArePaddedWithZeros) {
  Result<Datagram> packet =
      build_data(packet_class_, kSlot, session_.hops(), Block{}, random_bytes(5), system_random());
  ASSERT_TRUE(packet);
  for (std::size_t i = 0; i < hop_count_; ++i) {
    ASSERT_TRUE(slow::relay_data(MutableBytes(packet->bytes).first(packet->byte_count),
                                 packet_class_, kSlot, session_.hop[i]));
  }
  for (std::size_t at = forward_.x_r_offset + 5U; at < packet->byte_count; ++at) {
    EXPECT_EQ(packet->bytes[at], 0);
  }
}

TEST_P(ClientData, AnAnswerComesBackWithItsSeq) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  const std::vector<std::uint8_t> data = random_bytes(forward_.x_r_bytes);
  const Datagram datagram =
      bring_back(*block, data, 7, std::vector<std::uint64_t>(hop_count_, kSlot));
  const auto envelope = read_backward_envelope(datagram.view());
  ASSERT_TRUE(envelope);
  EXPECT_EQ(envelope->look_up, block->session_tag);
  EXPECT_TRUE(std::equal(block->arrives_view().begin(), block->arrives_view().end(),
                         datagram.bytes.begin() + kLinkHeaderBytes));
  const auto packet = open(datagram);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->seq, 7U);
  EXPECT_TRUE(std::equal(data.begin(), data.end(), packet->view().begin()));
}

TEST_P(ClientData, EveryReachableChoiceOfStampsIsFound) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  std::size_t choices = 1;
  for (std::size_t i = 1; i < hop_count_; ++i) {
    choices *= 3;
  }
  for (std::size_t choice = 0; choice < choices; ++choice) {
    std::vector<std::uint64_t> stamps = {kSlot};
    for (std::size_t rest = choice; stamps.size() < hop_count_; rest /= 3) {
      stamps.push_back(stamps.back() + rest % 3 - 1);
    }
    const Datagram datagram = bring_back(*block, random_bytes(20), choice, stamps);
    const auto packet = open(datagram);
    ASSERT_TRUE(packet) << "choice " << choice;
    EXPECT_EQ(packet->seq, choice);
    for (std::size_t i = 0; i < hop_count_; ++i) {
      const std::uint64_t of_layer = i + 1 < hop_count_ ? stamps[i + 1] : stamps[i];
      EXPECT_EQ(packet->slot[i], of_layer);
    }
  }
}

TEST_P(ClientData, AChangeOnTheLastLinkIsSeenByTheClientTag) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  const Datagram datagram =
      bring_back(*block, random_bytes(20), 7, std::vector<std::uint64_t>(hop_count_, kSlot));
  const TypeInfo& info = type_info(data_type(packet_class_, Direction::backward));
  for (const std::size_t at :
       {kLastOffset, std::size_t{kLastOffset + 11}, std::size_t{info.t_offset},
        std::size_t{info.x_r_offset}, datagram.byte_count - 1}) {
    Datagram changed = datagram;
    changed.bytes[at] ^= 1;
    const auto packet = open(changed);
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), BackwardRefusal::client_tag) << "byte " << at;
  }
}

TEST_P(ClientData, AStampFarFromTheClockIsRefused) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  const Datagram datagram =
      bring_back(*block, random_bytes(20), 7, std::vector<std::uint64_t>(hop_count_, kSlot));
  EXPECT_TRUE(open(datagram, kNowMs + 8000));
  EXPECT_TRUE(open(datagram, kNowMs - 8000));
  const auto late = open(datagram, kNowMs + 16000);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), BackwardRefusal::slot);
}

// Not with one hop: there nobody but the terminal can make the client tag.
TEST_P(ClientDataOverRelays, GarbageFromInsideThePathIsZero) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  Datagram datagram = slow::answer(packet_class_, block->view(), session_.hop[hop_count_ - 1],
                                   kSlot, 7, random_bytes(20));
  datagram.bytes[datagram.byte_count - 1] ^= 1;
  for (std::size_t i = hop_count_ - 1; i-- > 0;) {
    ASSERT_TRUE(slow::relay_back(bytes_of(datagram), packet_class_, kSlot, kSlot, session_.hop[i]));
  }
  const auto packet = open(datagram);
  ASSERT_FALSE(packet);
  EXPECT_EQ(packet.error(), BackwardRefusal::zero);
}

TEST_P(ClientData, OtherLengthsTypesAndVersionsAreMalformed) {
  const Result<ReplyBlock> block =
      build_reply_block(packet_class_, session_.hops(), system_random());
  ASSERT_TRUE(block);
  const Datagram datagram =
      bring_back(*block, random_bytes(20), 7, std::vector<std::uint64_t>(hop_count_, kSlot));
  Datagram shorter = datagram;
  --shorter.byte_count;
  Datagram other_type = datagram;
  other_type.bytes[0] = 0x17;
  Datagram other_version = datagram;
  other_version.bytes[0] = static_cast<std::uint8_t>(0x20 | (datagram.bytes[0] & 15));
  for (const Datagram& wrong : {shorter, other_type, other_version}) {
    const auto packet = open(wrong);
    ASSERT_FALSE(packet);
    EXPECT_EQ(packet.error(), BackwardRefusal::malformed);
  }
}

std::string case_name(const testing::TestParamInfo<Case>& tested) {
  return std::string(tested.param.packet_class == PacketClass::d ? "D" : "V") +
         std::to_string(tested.param.hop_count);
}

const auto kOneHop = testing::Values(Case{PacketClass::d, 1}, Case{PacketClass::v, 1});
const auto kRelayed =
    testing::Values(Case{PacketClass::d, 2}, Case{PacketClass::d, 3}, Case{PacketClass::d, 4},
                    Case{PacketClass::v, 2}, Case{PacketClass::v, 3});

INSTANTIATE_TEST_SUITE_P(OneHop, ClientData, kOneHop, case_name);
INSTANTIATE_TEST_SUITE_P(Relayed, ClientData, kRelayed, case_name);
INSTANTIATE_TEST_SUITE_P(Relayed, ClientDataOverRelays, kRelayed, case_name);

TEST(ClientBuilders, RefuseMoreHopsThanTheHeaderHolds) {
  const PathSession session = slow::random_session(4, system_random());
  EXPECT_FALSE(build_data(PacketClass::v, kSlot, session.hops(), Block{}, {}, system_random()));
  EXPECT_FALSE(build_reply_block(PacketClass::v, session.hops(), system_random()));
  EXPECT_FALSE(build_data(PacketClass::d, kSlot, {}, Block{}, {}, system_random()));
  EXPECT_FALSE(build_reply_block(PacketClass::d, {}, system_random()));
  const auto too_long = random_bytes(1073);
  const auto refused =
      build_data(PacketClass::d, kSlot, session.hops(), Block{}, too_long, system_random());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
}

TEST(ClientBuilders, TwoPacketsShareNothingButTheSegment) {
  const PathSession session = slow::random_session(3, system_random());
  const auto one = build_data(PacketClass::d, kSlot, session.hops(), flow_and_seq(1, 1),
                              random_bytes(1072), system_random());
  const auto two = build_data(PacketClass::d, kSlot, session.hops(), flow_and_seq(1, 2),
                              random_bytes(1072), system_random());
  ASSERT_TRUE(one && two);
  for (std::size_t at = 32; at + 16 <= one->byte_count; at += 16) {
    EXPECT_NE(load_block(one->bytes.data() + at), load_block(two->bytes.data() + at)) << at;
  }
}

TEST(BackwardEnvelope, TakesAnyBytes) {
  for (std::size_t byte_count = 0; byte_count < 1400; byte_count += 7) {
    const auto noise = random_bytes(byte_count);
    if (const auto envelope = read_backward_envelope(noise)) {
      EXPECT_TRUE(byte_count == 32 || byte_count == 256 || byte_count == 1232);
    }
  }
  std::array<std::uint8_t, 1232> bytes{};
  bytes[0] = 0x18;
  const auto envelope = read_backward_envelope(Bytes(bytes).first(32));
  ASSERT_TRUE(envelope);
  EXPECT_EQ(envelope->type, PacketType::c);
  EXPECT_FALSE(read_backward_envelope(Bytes(bytes).first(33)));
  bytes[0] = 0x11;
  EXPECT_FALSE(read_backward_envelope(bytes));
}

}  // namespace
}  // namespace allium::onion
