// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/messages.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

namespace allium::control_port {
namespace {

// A message has no operator== (its secrets have none); two are alike where their bytes are.
using Encoded = std::vector<std::uint8_t>;

/// Content at random, within the bounds that a sender has to keep.
class Maker {
 public:
  explicit Maker(std::uint32_t seed) : engine_(seed) {}

  [[nodiscard]] std::uint64_t number() { return engine_(); }

  [[nodiscard]] std::size_t below(std::size_t bound) { return engine_() % bound; }

  void fill(MutableBytes target) {
    for (std::uint8_t& byte : target) {
      byte = static_cast<std::uint8_t>(engine_());
    }
  }

  [[nodiscard]] std::vector<std::uint8_t> bytes(std::size_t count_max) {
    std::vector<std::uint8_t> bytes(below(count_max + 1));
    fill(bytes);
    return bytes;
  }

  [[nodiscard]] std::string text() { return std::string(below(257), static_cast<char>(number())); }

  template <typename T>
  void set(T& target) {
    target = static_cast<T>(number());
  }

  [[nodiscard]] onion::Endpoint endpoint() {
    onion::Endpoint endpoint;
    fill(endpoint.address);
    set(endpoint.port);
    return endpoint;
  }

  [[nodiscard]] onion::EpochSecrets epoch() {
    onion::EpochSecrets keys;
    set(keys.epoch);
    for (Secret<16>* key :
         {&keys.segment, &keys.secret, &keys.return_block, &keys.replay, &keys.cookie}) {
      fill(key->bytes());
    }
    return keys;
  }

  [[nodiscard]] onion::PeerConfig peer() {
    onion::PeerConfig peer;
    set(peer.id);
    peer.endpoint = endpoint();
    for (std::size_t i = below(onion::kEpochsMax + 1); i > 0; --i) {
      onion::LinkSecrets& link = peer.links.emplace_back();
      set(link.epoch);
      for (Secret<16>* key : {&link.in_mac, &link.in_veil, &link.out_mac, &link.out_veil}) {
        fill(key->bytes());
      }
    }
    return peer;
  }

  [[nodiscard]] SnapshotBegin begin();
  [[nodiscard]] Counters counters();

  /// A message of every kind in turn.
  [[nodiscard]] Message message(std::size_t kind);

 private:
  std::mt19937_64 engine_;
};

SnapshotBegin Maker::begin() {
  SnapshotBegin begin;
  set(begin.serial);
  set(begin.own_id);
  begin.own_endpoint = endpoint();
  begin.cookie_required = below(2) == 1;
  set(begin.setup_limits.per_prefix_per_s);
  set(begin.setup_limits.per_prefix_burst);
  set(begin.setup_limits.per_link_per_s);
  set(begin.setup_limits.per_link_burst);
  begin.salt_alloc_first = static_cast<std::uint16_t>(below(4096));
  for (std::size_t i = below(onion::kEpochsMax + 1); i > 0; --i) {
    const std::uint64_t first = below(onion::kSeqMax);
    begin.sequences.push_back({number(), first, first + 1});
    begin.epochs.push_back(epoch());
  }
  for (std::size_t i = below(onion::kHoursMax + 1); i > 0; --i) {
    onion::HourKey& key = begin.hours.emplace_back();
    set(key.hour);
    fill(key.private_key.bytes());
    fill(key.public_key);
  }
  begin.peer_count = static_cast<std::uint32_t>(below(onion::kPeersMax + 1));
  return begin;
}

Counters Maker::counters() {
  Counters counters;
  for (std::uint64_t* value :
       {&counters.at_ms, &counters.uptime_ms, &counters.received, &counters.sent,
        &counters.forwarded, &counters.delivered, &counters.answers, &counters.challenges,
        &counters.parked, &counters.not_onion}) {
    *value = number();
  }
  for (auto& value : counters.verdicts) {
    value = number();
  }
  for (auto& row : counters.by_type) {
    for (auto& value : row) {
      value = number();
    }
  }
  return counters;
}

Message Maker::message(std::size_t kind) {
  switch (kind % std::variant_size_v<Message>) {
    case 0:
      return Hello{static_cast<std::uint16_t>(number())};
    case 1: {
      Welcome welcome;
      set(welcome.version);
      set(welcome.pid);
      set(welcome.worker_count);
      welcome.device = text();
      welcome.kernels = text();
      return welcome;
    }
    case 2: {
      Configure configure;
      set(configure.replay_lines);
      set(configure.handles_max);
      set(configure.handles_per_host);
      set(configure.handles_per_site);
      set(configure.slot_floor_if_new);
      set(configure.first_handle_if_new);
      return configure;
    }
    case 3:
      return begin();
    case 4: {
      SnapshotPeers peers;
      set(peers.serial);
      for (std::size_t i = below(kPeersPerChunkMax + 1); i > 0; --i) {
        peers.peers.push_back(peer());
      }
      return peers;
    }
    case 5:
      return SnapshotCommit{number()};
    case 6:
      return Accepted{number(), number()};
    case 7:
      return Refused{number(), text()};
    case 8:
      return CountersRequest{};
    case 9:
      return counters();
    case 10: {
      Deliveries deliveries;
      set(deliveries.lost);
      for (std::size_t i = below(kDeliveriesPerMessageMax + 1); i > 0; --i) {
        DeliveryRecord& record = deliveries.records.emplace_back();
        record.type = static_cast<onion::PacketType>(1 + below(7));
        fill(record.t);
        record.data = bytes(onion::kDatagramBytesMax);
        record.sealed_context = bytes(192);
      }
      return deliveries;
    }
    case 11:
      return ReturnReply{bytes(192), number(), bytes(onion::kDatagramBytesMax)};
    case 12: {
      BlockReply reply;
      reply.packet_class = below(2) == 0 ? onion::PacketClass::d : onion::PacketClass::v;
      reply.reply_block.resize(onion::reply_block_bytes(reply.packet_class));
      fill(reply.reply_block);
      set(reply.seq);
      reply.data = bytes(onion::kDatagramBytesMax);
      return reply;
    }
    default:
      return Shutdown{};
  }
}

constexpr std::size_t kKinds = std::variant_size_v<Message>;

TEST(ControlMessages, AreTheSameAfterWritingAndReading) {
  Maker maker(1);
  for (std::size_t round = 0; round < 200 * kKinds; ++round) {
    const Message message = maker.message(round);
    ASSERT_EQ(message.index(), round % kKinds);

    const Encoded bytes = encode(message);
    ASSERT_LE(bytes.size(), kMessageBytesMax);
    const auto read = decode(bytes);

    ASSERT_TRUE(read) << round % kKinds;
    EXPECT_EQ(read->index(), message.index());
    EXPECT_EQ(encode(*read), bytes);
  }
}

TEST(ControlMessages, CarryEveryFieldOfASnapshot) {
  Maker maker(2);
  SnapshotBegin sent;
  do {
    sent = maker.begin();
  } while (sent.epochs.empty() || sent.hours.empty());

  const auto read = decode(encode(Message(std::move(sent))));
  Maker again(2);
  SnapshotBegin expected;
  do {
    expected = again.begin();
  } while (expected.epochs.empty() || expected.hours.empty());

  ASSERT_TRUE(read);
  const auto& begin = std::get<SnapshotBegin>(*read);
  EXPECT_EQ(begin.serial, expected.serial);
  EXPECT_EQ(begin.own_id, expected.own_id);
  EXPECT_EQ(begin.own_endpoint, expected.own_endpoint);
  EXPECT_EQ(begin.cookie_required, expected.cookie_required);
  EXPECT_EQ(begin.setup_limits.per_link_burst, expected.setup_limits.per_link_burst);
  EXPECT_EQ(begin.salt_alloc_first, expected.salt_alloc_first);
  EXPECT_EQ(begin.sequences.back().end, expected.sequences.back().end);
  EXPECT_EQ(begin.epochs.back().cookie.bytes(), expected.epochs.back().cookie.bytes());
  EXPECT_EQ(begin.hours.front().private_key.bytes(), expected.hours.front().private_key.bytes());
  EXPECT_EQ(begin.hours.front().public_key, expected.hours.front().public_key);
  EXPECT_EQ(begin.peer_count, expected.peer_count);
}

TEST(ControlMessages, HaveTheLayoutOfTheDocument) {
  // FORMAT.md: tag, then fields in order, big-endian.
  EXPECT_EQ(encode(Hello{1}), (Encoded{1, 0, 1}));
  EXPECT_EQ(encode(Accepted{2, 0x0102}),
            (Encoded{7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1, 2}));
  EXPECT_EQ(encode(Refused{0, "no"}), (Encoded{8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 'n', 'o'}));
  EXPECT_EQ(encode(CountersRequest{}), (Encoded{9}));
  EXPECT_EQ(encode(Shutdown{}), (Encoded{14}));
}

TEST(ControlMessages, AreRefusedWhenCutOrLengthened) {
  Maker maker(3);
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    Encoded bytes = encode(maker.message(kind));
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_FALSE(decode(Bytes(bytes).first(length))) << kind << ' ' << length;
    }
    bytes.push_back(0);
    EXPECT_FALSE(decode(bytes)) << kind;
  }
}

TEST(ControlMessages, AreRefusedUnderAnUnknownTag) {
  for (unsigned tag = 0; tag < 256; ++tag) {
    if (tag < 1 || tag > kKinds) {
      EXPECT_FALSE(decode(Encoded{static_cast<std::uint8_t>(tag)}));
    }
  }
}

// Whatever is changed, a message is refused or it is another message's only spelling.
TEST(ControlMessages, HaveOneSpelling) {
  Maker maker(4);
  std::size_t read_count = 0;
  std::size_t refused_count = 0;
  for (std::size_t round = 0; round < 40'000; ++round) {
    Encoded bytes = encode(maker.message(round));
    for (std::size_t i = 1 + maker.below(3); i > 0; --i) {
      bytes[maker.below(std::min<std::size_t>(bytes.size(), 120))] =
          static_cast<std::uint8_t>(maker.number());
    }
    if (const auto read = decode(bytes)) {
      ++read_count;
      EXPECT_EQ(encode(*read), bytes);
    } else {
      ++refused_count;
      EXPECT_EQ(read.error().code, Errc::malformed);
    }
  }
  EXPECT_GT(read_count, 1000U);
  EXPECT_GT(refused_count, 1000U);
}

TEST(ControlMessages, RefuseCountsAndNumbersBeyondTheirBounds) {
  Encoded peers = encode(SnapshotPeers{});  // tag, serial 8, count 2
  peers[10] = kPeersPerChunkMax + 1;
  peers.resize(peers.size() + (kPeersPerChunkMax + 1) * 24);  // as many empty peers
  EXPECT_FALSE(decode(peers));
  peers[10] = kPeersPerChunkMax;
  peers.resize(peers.size() - 24);
  EXPECT_TRUE(decode(peers));

  SnapshotBegin begin;
  begin.peer_count = onion::kPeersMax;
  EXPECT_TRUE(decode(encode(Message(std::move(begin)))));
  SnapshotBegin too_many;
  too_many.peer_count = onion::kPeersMax + 1;
  EXPECT_FALSE(decode(encode(Message(std::move(too_many)))));
  SnapshotBegin wide_salt;
  wide_salt.salt_alloc_first = 4096;
  EXPECT_FALSE(decode(encode(Message(std::move(wide_salt)))));
  SnapshotBegin turned_range;
  turned_range.sequences.push_back({1, 5, 4});
  EXPECT_FALSE(decode(encode(Message(std::move(turned_range)))));
  SnapshotBegin far_range;
  far_range.sequences.push_back({1, 0, onion::kSeqMax + 2});
  EXPECT_FALSE(decode(encode(Message(std::move(far_range)))));
  EXPECT_FALSE(decode(Encoded(kMessageBytesMax + 1, 8)));
}

TEST(ControlMessages, OfTheLargestKindFitTheirBound) {
  Maker maker(5);
  SnapshotPeers peers;
  for (std::size_t i = 0; i < kPeersPerChunkMax; ++i) {
    onion::PeerConfig& peer = peers.peers.emplace_back();
    peer.links.resize(onion::kEpochsMax);
  }
  EXPECT_LE(encode(Message(std::move(peers))).size(), kMessageBytesMax);
  Deliveries deliveries;
  for (std::size_t i = 0; i < kDeliveriesPerMessageMax; ++i) {
    DeliveryRecord& record = deliveries.records.emplace_back();
    record.type = onion::PacketType::s0;
    record.data.resize(onion::kDatagramBytesMax);
    record.sealed_context.resize(192);
  }
  EXPECT_LE(encode(Message(std::move(deliveries))).size(), kMessageBytesMax);
}

}  // namespace
}  // namespace allium::control_port
