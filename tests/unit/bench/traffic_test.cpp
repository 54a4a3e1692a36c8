// SPDX-License-Identifier: Apache-2.0

// The packets of the benchmark are valid, each once, and the relay that checks what comes out notices what is not
// right. A relay without devices stands for the relay under test.

#include "tools/bench/traffic.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <span>

#include <gtest/gtest.h>

#include "crypto_accel/kernel_registry.hpp"
#include "crypto_accel/primitives.hpp"
#include "dataplane/onion/relay.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tools/bench/memory_file.hpp"
#include "tools/bench/next_relay.hpp"
#include "tools/bench/onion_chain.hpp"
#include "tools/bench/pcap_file.hpp"
#include "tools/bench/set_memory.hpp"

namespace allium::bench {
namespace {

using Buffer = std::vector<std::uint8_t>;

constexpr onion::HandleLimits kHandleLimits{64, 0, 0};
constexpr std::size_t kReplayLines = 64;
constexpr std::size_t kPackets = 80;

class TestedRelay {
 public:
  explicit TestedRelay(const Traffic& traffic)
      : traffic_(traffic),
        replay_memory_(onion::ReplaySet::bytes_needed(kReplayLines)),
        handle_memory_(onion::HandleTable::bytes_needed(kHandleLimits)),
        replay_(onion::ReplaySet::attach(replay_memory_.bytes(), kReplayLines, 0).value()),
        handles_(onion::HandleTable::attach(handle_memory_.bytes(), kHandleLimits, 1).value()),
        kernels_(crypto_accel::select_kernels("").value()),
        batch_(*kernels_.onion) {
    onion::RelayParts parts{};
    parts.kernels = kernels_;
    parts.replay = &replay_;
    parts.handles = &handles_;
    parts.bridge = &bridge_;
    parts.sequence = {&sequence_, take};
    parts.salt = {&salt_, take};
    parts.random = system_random();
    relay_ = std::make_unique<onion::Relay>(parts);
    replay_.raise_floor(onion::slot_of(Traffic::kNowMs) - 1);
    replay_.clear_all_due();
    new_replay_key();
  }

  void new_replay_key() {
    auto begin = traffic_.snapshot(1, system_random());
    onion::SnapshotConfig config;
    config.own_id = begin.own_id;
    config.own_endpoint = begin.own_endpoint;
    config.peers = traffic_.peers();
    config.epochs = std::move(begin.epochs);
    config.hours = std::move(begin.hours);
    snapshot_ = onion::RelaySnapshot::build(config, batch_).value();
  }

  /// Runs one frame through the relay; what comes out takes its place.
  onion::Verdict run(Buffer& frame) {
    const auto parsed = dataplane::parse_frame(frame, traffic_.identity());
    if (!parsed) {
      return onion::Verdict::length;
    }
    frame.resize(parsed->payload_offset + onion::kDatagramBytesMax);
    onion::Burst burst;
    burst.count = 1;
    burst.data[0] = frame.data() + parsed->payload_offset;
    burst.bytes[0] = static_cast<std::uint16_t>(parsed->payload_bytes);
    burst.source[0] = parsed->source;
    relay_->run(*snapshot_, burst, Traffic::kNowMs);
    frame.resize(parsed->payload_offset + parsed->payload_bytes);
    if (burst.verdict[0] != onion::Verdict::forward) {
      return burst.verdict[0];
    }
    const dataplane::PortIdentity own = traffic_.identity();
    dataplane::write_headers({own.mac,
                              traffic_.next_identity().mac,
                              {own.addresses.front(), own.onion_port},
                              burst.target[0].endpoint},
                             burst.data[0], burst.bytes[0]);
    return burst.verdict[0];
  }

 private:
  static bool take(void* counter, std::uint64_t, std::uint64_t& value) noexcept {
    value = (*static_cast<std::uint64_t*>(counter))++;
    return true;
  }

  const Traffic& traffic_;
  SetMemory replay_memory_;
  SetMemory handle_memory_;
  onion::ReplaySet replay_;
  onion::HandleTable handles_;
  onion::Bridge bridge_;
  crypto_accel::KernelSet kernels_;
  crypto_accel::OnionBatch batch_;
  std::unique_ptr<const onion::RelaySnapshot> snapshot_;
  std::unique_ptr<onion::Relay> relay_;
  std::uint64_t sequence_ = 0;
  std::uint64_t salt_ = 0;
};

struct Kind {
  const char* name;
  onion::PacketClass packet_class;
  bool is_v6;
};

class TrafficTest : public testing::TestWithParam<Kind> {
 protected:
  static constexpr std::size_t kSessions = 9;

  [[nodiscard]] std::vector<Buffer> frames(unsigned bad_tag_percent = 0) const {
    const auto file = MemoryFile::create("test").value();
    const FrameFile target{file.path(), bad_tag_percent};
    EXPECT_TRUE(traffic().write_frames(std::span(&target, 1), kPackets, system_random()));
    auto reader = PcapReader::open(file.path()).value();
    std::vector<Buffer> frames;
    for (Buffer frame = reader.next().value(); !frame.empty(); frame = reader.next().value()) {
      frames.push_back(std::move(frame));
    }
    return frames;
  }

  /// What a right relay makes of every packet.
  [[nodiscard]] std::vector<Buffer> forwarded() const {
    TestedRelay relay(traffic());
    std::vector<Buffer> result = frames();
    for (Buffer& frame : result) {
      EXPECT_EQ(relay.run(frame), onion::Verdict::forward);
    }
    return result;
  }

  [[nodiscard]] const Traffic& traffic() const { return traffic_; }

 private:
  Traffic traffic_{{GetParam().packet_class, kSessions, GetParam().is_v6}, system_random()};
};

TEST_P(TrafficTest, EveryPacketIsForwardedAndAcceptedByTheNextRelay) {
  NextRelay next(traffic(), kPackets);
  const std::vector<Buffer> out = forwarded();
  ASSERT_EQ(out.size(), kPackets);

  std::size_t accepted = 0;
  for (std::size_t i = 0; i < kPackets; i += 16) {
    const auto begin = out.begin() + static_cast<std::ptrdiff_t>(i);
    accepted += next.accept({begin, begin + 16});
  }
  EXPECT_EQ(accepted, kPackets);
}

TEST_P(TrafficTest, SessionsTakeTurns) {
  std::set<Buffer> datagrams;
  std::set<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < kPackets; ++i) {
    const onion::Datagram datagram = traffic().make_datagram(i, system_random());
    EXPECT_EQ(datagram.byte_count, traffic().datagram_bytes());
    datagrams.emplace(datagram.view().begin(), datagram.view().end());
    numbers.insert(load_be(datagram.bytes.data() + onion::kSeqOffset, onion::kSeqBytes));
  }
  EXPECT_EQ(datagrams.size(), kPackets);
  EXPECT_EQ(numbers.size(), kPackets);
}

TEST_P(TrafficTest, APassIsAReplayUntilTheReplayKeyIsNew) {
  TestedRelay relay(traffic());
  for (const Buffer& frame : frames()) {
    Buffer first = frame;
    EXPECT_EQ(relay.run(first), onion::Verdict::forward);
    Buffer second = frame;
    EXPECT_EQ(relay.run(second), onion::Verdict::replay);
    relay.new_replay_key();
    Buffer third = frame;
    EXPECT_EQ(relay.run(third), onion::Verdict::forward);
  }
}

TEST_P(TrafficTest, PacketsWithABadTagAreDroppedForItAndLieEvenly) {
  TestedRelay relay(traffic());
  std::vector<Buffer> sent = frames(25);
  std::size_t bad = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const bool is_bad = has_bad_tag(i, 25);
    bad += is_bad ? 1 : 0;
    EXPECT_EQ(relay.run(sent[i]), is_bad ? onion::Verdict::ll_tag : onion::Verdict::forward) << i;
    EXPECT_EQ(bad, bad_tag_count(i + 1, 25));
  }
  EXPECT_EQ(bad, kPackets / 4);
}

TEST_P(TrafficTest, FilesDifferInNothingButTags) {
  const auto right = MemoryFile::create("test").value();
  const auto wrong = MemoryFile::create("test").value();
  const std::array<FrameFile, 2> files = {{{right.path(), 0}, {wrong.path(), 100}}};
  ASSERT_TRUE(traffic().write_frames(files, kPackets, system_random()));
  auto right_frames = PcapReader::open(right.path()).value();
  auto wrong_frames = PcapReader::open(wrong.path()).value();
  const std::size_t tag = traffic().headers_bytes() + onion::kTagOffset;
  for (std::size_t i = 0; i < kPackets; ++i) {
    const Buffer one = right_frames.next().value();
    const Buffer other = wrong_frames.next().value();
    ASSERT_EQ(one.size(), other.size());
    for (std::size_t offset = traffic().headers_bytes(); offset < one.size(); ++offset) {
      EXPECT_EQ(one[offset] != other[offset], offset >= tag && offset < tag + onion::kTagBytes);
    }
  }
}

TEST_P(TrafficTest, TheNextRelayNoticesEveryChangedByteOfADatagram) {
  NextRelay next(traffic(), kPackets);
  const Buffer right = forwarded().front();
  const dataplane::PortIdentity own = traffic().identity();
  const dataplane::PortIdentity target = traffic().next_identity();
  const dataplane::FrameAddresses addresses{own.mac,
                                            target.mac,
                                            {own.addresses.front(), own.onion_port},
                                            {target.addresses.front(), target.onion_port}};
  for (std::size_t offset = traffic().headers_bytes(); offset < right.size(); ++offset) {
    Buffer wrong = right;
    wrong[offset] ^= 0x40;
    dataplane::write_headers(addresses, wrong.data() + traffic().headers_bytes(),
                             traffic().datagram_bytes());
    EXPECT_EQ(next.accept({wrong}), 0U) << offset;
  }
  EXPECT_EQ(next.accept({right}), 1U);
}

TEST_P(TrafficTest, TheNextRelayNoticesWrongHeadersAndChecksums) {
  NextRelay next(traffic(), kPackets);
  const Buffer right = forwarded().front();
  const auto is_covered = [&](std::size_t offset) {
    // Traffic class, flow label and hop limit of IPv6 are in no checksum.
    const std::size_t in_ip = offset - dataplane::kEthernetBytes;
    return !GetParam().is_v6 || in_ip == 0 || (in_ip > 3 && in_ip != 7);
  };
  for (std::size_t offset = dataplane::kEthernetBytes; offset < right.size(); ++offset) {
    if (!is_covered(offset)) {
      continue;
    }
    Buffer wrong = right;
    wrong[offset] ^= 0x40;
    EXPECT_EQ(next.accept({wrong}), 0U) << offset;
  }
  Buffer without = right;
  std::fill_n(without.begin() + static_cast<std::ptrdiff_t>(traffic().headers_bytes()) - 2, 2,
              std::uint8_t{0});
  EXPECT_EQ(next.accept({without}), 0U);
  EXPECT_EQ(next.accept({right}), 1U);
}

TEST_P(TrafficTest, TheNextRelayTakesNoFrameForSomebodyElse) {
  NextRelay next(traffic(), kPackets);
  const Buffer right = forwarded().front();
  Buffer other_mac = right;
  other_mac[5] ^= 1;
  Buffer other_address = right;
  const std::size_t last_of_address = traffic().headers_bytes() - dataplane::kUdpBytes - 1;
  other_address[last_of_address] ^= 1;

  EXPECT_EQ(next.accept({other_mac}), 0U);
  EXPECT_EQ(next.accept({other_address}), 0U);
  EXPECT_EQ(next.accept({frames().front()}), 0U);
}

TEST_P(TrafficTest, TheNextRelayCountsAPacketOnce) {
  NextRelay next(traffic(), kPackets);
  const std::vector<Buffer> out = forwarded();

  EXPECT_EQ(next.accept({out[0], out[0], out[1]}), 2U);
  EXPECT_EQ(next.accept({out[0], out[2]}), 1U);
}

Block key_of(const Secret<16>& secret) {
  return load_block(secret.data());
}

// What `bench crypto` times is all that a relay computes: the next relay takes what the chain puts out.
TEST_P(TrafficTest, TheNextRelayTakesWhatTheChainOfEveryKernelMakes) {
  if (GetParam().packet_class == onion::PacketClass::s0) {
    GTEST_SKIP() << "the chain is that of data packets";
  }
  const std::size_t headers = traffic().headers_bytes();
  const auto& info =
      onion::type_info(onion::data_type(GetParam().packet_class, onion::Direction::forward));
  const auto snapshot = traffic().snapshot(1, system_random());
  const auto peers = traffic().peers();
  const onion::LinkSecrets& in = peers[0].links.front();
  const onion::LinkSecrets& out = peers[1].links.front();
  ChainKeys keys;
  keys.segment = key_of(snapshot.epochs[0].segment);
  keys.secret = key_of(snapshot.epochs[0].secret);
  keys.replay = key_of(snapshot.epochs[0].replay);
  keys.links.fill(
      {key_of(in.in_mac), key_of(in.in_veil), key_of(out.out_mac), key_of(out.out_veil)});
  const dataplane::PortIdentity own = traffic().identity();
  const dataplane::PortIdentity target = traffic().next_identity();
  for (const crypto_accel::OnionKernel& kernel : crypto_accel::onion_kernels()) {
    if (!kernel.supported()) {
      continue;
    }
    std::vector<Buffer> out_frames(onion::kBurstMax, Buffer(headers + 1232));
    std::vector<std::uint8_t*> datagrams;
    std::vector<Block> header_mac;
    for (std::size_t lane = 0; lane < out_frames.size(); ++lane) {
      onion::Datagram datagram = traffic().make_datagram(lane, system_random());
      datagrams.push_back(out_frames[lane].data() + headers);
      std::copy(datagram.view().begin(), datagram.view().end(), datagrams.back());
      Block counter{};
      std::copy_n(datagram.bytes.data(), onion::kTagOffset, counter.data());
      std::uint8_t* const header = datagram.bytes.data() + onion::kLinkHeaderBytes;
      crypto_accel::ctr_xor(in.in_veil.bytes(), counter, {header, info.header_bytes});
      header_mac.push_back(load_block(header + onion::kSegmentBytes));
    }
    const std::uint64_t tag = load_be(datagrams[7] + onion::kTagOffset, onion::kTagBytes);
    OnionChain chain(kernel, GetParam().packet_class, onion::slot_of(Traffic::kNowMs), keys);

    chain.run(datagrams);

    EXPECT_EQ(chain.tag_in(7), tag) << kernel.name;
    for (std::size_t lane = 0; lane < out_frames.size(); ++lane) {
      EXPECT_EQ(chain.header_mac(lane), header_mac[lane]) << kernel.name << " " << lane;
      dataplane::write_headers({own.mac,
                                target.mac,
                                {own.addresses.front(), own.onion_port},
                                {target.addresses.front(), target.onion_port}},
                               datagrams[lane], info.total_bytes);
      out_frames[lane].resize(headers + info.total_bytes);
    }
    NextRelay next(traffic(), kPackets);
    EXPECT_EQ(next.accept(out_frames), out_frames.size()) << kernel.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TrafficTest,
                         testing::Values(Kind{"D", onion::PacketClass::d, false},
                                         Kind{"V", onion::PacketClass::v, false},
                                         Kind{"S", onion::PacketClass::s0, false},
                                         Kind{"DOverIPv6", onion::PacketClass::d, true},
                                         Kind{"SOverIPv6", onion::PacketClass::s0, true}),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace allium::bench
