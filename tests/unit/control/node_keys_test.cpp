// SPDX-License-Identifier: Apache-2.0
#include "control/node/node_keys.hpp"

#include <algorithm>
#include <memory>
#include <set>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"

namespace allium::control {
namespace {

constexpr std::uint64_t kHour = 500'000;
constexpr std::uint64_t kHourStartMs = kHour * 3'600'000;
constexpr std::uint64_t kEpoch = kHour * 6;
constexpr std::uint64_t kEpochMs = 600'000;

/// Fresh bytes at every draw, the same in every run.
class CountingSource {
 public:
  [[nodiscard]] Random random() { return {this, fill}; }

 private:
  static void fill(void* self, std::uint8_t* target, std::size_t byte_count) noexcept {
    CountingSource& source = *static_cast<CountingSource*>(self);
    for (std::size_t i = 0; i < byte_count; ++i) {
      source.state_ = source.state_ * 6364136223846793005U + 1442695040888963407U;
      target[i] = static_cast<std::uint8_t>(source.state_ >> 56);
    }
  }

  std::uint64_t state_ = 1;
};

/// A node with its sources; its clock is the test's.
struct TestNode {
  explicit TestNode(std::uint64_t now_ms)
      : keys(IdentitySecret::generate(source.random()), source.random(), now_ms) {}

  CountingSource source;
  NodeKeys keys;
};

NodeSnapshot snapshot_of(TestNode& node, std::uint64_t now_ms,
                         std::span<const PeerKeys> peers = {}) {
  return std::move(node.keys.make_snapshot(onion::Endpoint{}, peers, now_ms)).value();
}

std::vector<std::uint64_t> epochs_of(const NodeSnapshot& snapshot) {
  std::vector<std::uint64_t> epochs;
  for (const onion::EpochSecrets& keys : snapshot.begin.epochs) {
    epochs.push_back(keys.epoch);
  }
  return epochs;
}

bool has_hour(const NodeSnapshot& snapshot, std::uint64_t hour) {
  return std::any_of(snapshot.begin.hours.begin(), snapshot.begin.hours.end(),
                     [hour](const onion::HourKey& key) { return key.hour == hour; });
}

const control_port::SequenceRange* range_of(const NodeSnapshot& snapshot, std::uint64_t epoch) {
  for (const control_port::SequenceRange& range : snapshot.begin.sequences) {
    if (range.epoch == epoch) {
      return &range;
    }
  }
  return nullptr;
}

const onion::EpochSecrets* epoch_of(const NodeSnapshot& snapshot, std::uint64_t epoch) {
  for (const onion::EpochSecrets& keys : snapshot.begin.epochs) {
    if (keys.epoch == epoch) {
      return &keys;
    }
  }
  return nullptr;
}

PeerKeys peer_of(const TestNode& node, std::uint8_t last_byte) {
  PeerKeys peer;
  peer.id = node.keys.id();
  const std::array<std::uint8_t, 4> address = {10, 0, 0, last_byte};
  peer.endpoint = onion::Endpoint::from_v4(address.data(), 22100);
  peer.keys = node.keys.link_public_keys();
  return peer;
}

TEST(NodeKeys, HaveTheNextEpochsKeysSixteenSecondsAheadAndEraseThemOnTime) {
  TestNode node(kHourStartMs);
  // Whatever the moment, with keys advanced at least once in the epoch before: e is there, e + 1 is there
  // 16 s ahead, e - 1 is there where it lived, e - 2 is not.
  for (std::uint64_t step = 0; step < 13 * kEpochMs; step += 7'000) {
    const std::uint64_t now_ms = kHourStartMs + step;
    const std::uint64_t epoch = onion::epoch_of(now_ms);

    const NodeSnapshot snapshot = snapshot_of(node, now_ms);

    EXPECT_NE(epoch_of(snapshot, epoch), nullptr);
    EXPECT_EQ(epoch_of(snapshot, epoch - 1) != nullptr, epoch > kEpoch);
    EXPECT_EQ(epoch_of(snapshot, epoch - 2), nullptr);
    if ((epoch + 1) * kEpochMs - now_ms <= 16'000) {
      EXPECT_NE(epoch_of(snapshot, epoch + 1), nullptr);
    }
    EXPECT_LE(snapshot.begin.epochs.size(), onion::kEpochsMax);
    EXPECT_LE(snapshot.begin.hours.size(), onion::kHoursMax);
  }
}

TEST(NodeKeys, KeepAKeyAsItIsAsLongAsItLives) {
  TestNode node(kHourStartMs);
  const NodeSnapshot first = snapshot_of(node, kHourStartMs);
  const NodeSnapshot later = snapshot_of(node, kHourStartMs + 2 * kEpochMs - 1);

  EXPECT_EQ(epoch_of(first, kEpoch)->segment.bytes(), epoch_of(later, kEpoch)->segment.bytes());
  EXPECT_EQ(epoch_of(first, kEpoch)->replay.bytes(), epoch_of(later, kEpoch)->replay.bytes());
  EXPECT_EQ(epoch_of(snapshot_of(node, kHourStartMs + 2 * kEpochMs), kEpoch), nullptr);
}

TEST(NodeKeys, AreDifferentInEveryRoleAndEpoch) {
  TestNode node(kHourStartMs);
  std::set<std::array<std::uint8_t, 16>> seen;
  std::set<std::uint64_t> epochs;
  for (std::uint64_t step = 0; step < 8; ++step) {
    const NodeSnapshot snapshot = snapshot_of(node, kHourStartMs + step * kEpochMs);
    for (const onion::EpochSecrets& keys : snapshot.begin.epochs) {
      if (epochs.insert(keys.epoch).second) {
        for (const Secret<16>* key :
             {&keys.segment, &keys.secret, &keys.return_block, &keys.replay, &keys.cookie}) {
          EXPECT_TRUE(seen.insert(key->bytes()).second);
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 5 * epochs.size());
}

TEST(NodeKeys, HaveAnHoursKeyAnHourAheadAndEraseItTenMinutesAfter) {
  TestNode node(kHourStartMs);

  EXPECT_TRUE(has_hour(snapshot_of(node, kHourStartMs), kHour + 1));
  EXPECT_TRUE(has_hour(snapshot_of(node, kHourStartMs + 3'600'000 + 599'999), kHour));
  EXPECT_FALSE(has_hour(snapshot_of(node, kHourStartMs + 3'600'000 + 600'000), kHour));
}

TEST(NodeKeys, PublishTheKeysOfThisHourAndTheNextUnderARisingNumber) {
  TestNode node(kHourStartMs);
  const onion::Endpoint endpoint = peer_of(node, 1).endpoint;
  std::uint64_t number = 0;
  for (std::uint64_t step = 0; step < 5'400'000; step += 100'000) {
    const std::uint64_t now_ms = kHourStartMs + step;
    node.keys.advance(now_ms);

    const auto signed_record = node.keys.make_record({endpoint}, now_ms);
    ASSERT_TRUE(signed_record) << signed_record.error().text;
    const auto record = verify(*signed_record, node.keys.identity(), now_ms / 1000, number);

    ASSERT_TRUE(record) << record.error().text;
    EXPECT_GT(record->number, number);
    number = record->number;
    EXPECT_NE(record->key_of(onion::hour_of(now_ms)), nullptr);
    EXPECT_NE(record->key_of(onion::hour_of(now_ms) + 1), nullptr);
  }
}

TEST(NodeKeys, SayWhenTheRecordChanged) {
  TestNode node(kHourStartMs);
  EXPECT_TRUE(node.keys.record_changed());
  EXPECT_FALSE(node.keys.record_changed());

  node.keys.advance(kHourStartMs + 3'599'999);
  EXPECT_FALSE(node.keys.record_changed());
  EXPECT_TRUE(node.keys.advance(kHourStartMs + 3'600'000));
  EXPECT_TRUE(node.keys.record_changed());
}

TEST(NodeKeys, DeriveTheSameLinkAtBothEndsInEveryEpochThatCrosses) {
  TestNode left(kHourStartMs);
  TestNode right(kHourStartMs);
  std::array<std::uint8_t, 5> skip{};
  right.source.random()(skip);  // other keys than the left node's
  right.keys = NodeKeys(IdentitySecret::generate(right.source.random()), right.source.random(),
                        kHourStartMs);
  for (std::uint64_t step = 0; step < 14; ++step) {
    const std::uint64_t now_ms = kHourStartMs + step * kEpochMs + 5'000;
    left.keys.advance(now_ms);
    right.keys.advance(now_ms);
    const PeerKeys left_peer = peer_of(left, 1);
    const PeerKeys right_peer = peer_of(right, 2);

    const NodeSnapshot at_left = snapshot_of(left, now_ms, {&right_peer, 1});
    const NodeSnapshot at_right = snapshot_of(right, now_ms, {&left_peer, 1});

    ASSERT_EQ(at_left.peers.size(), 1U);
    ASSERT_EQ(at_right.peers.size(), 1U);
    std::set<std::uint64_t> epochs;
    for (const onion::LinkSecrets& link : at_left.peers[0].links) {
      epochs.insert(link.epoch);
      const auto other =
          std::find_if(at_right.peers[0].links.begin(), at_right.peers[0].links.end(),
                       [&](const onion::LinkSecrets& l) { return l.epoch == link.epoch; });
      ASSERT_NE(other, at_right.peers[0].links.end());
      EXPECT_EQ(link.out_mac.bytes(), other->in_mac.bytes());
      EXPECT_EQ(link.out_veil.bytes(), other->in_veil.bytes());
      EXPECT_EQ(link.in_mac.bytes(), other->out_mac.bytes());
      EXPECT_NE(link.in_mac.bytes(), link.out_mac.bytes());
    }
    const std::uint64_t epoch = onion::epoch_of(now_ms);
    EXPECT_TRUE(epochs.count(epoch) == 1 && epochs.count(epoch + 1) == 1);
    // Packets under the old epoch may still come for 16 s, also over the turn of an hour.
    EXPECT_EQ(epochs.count(epoch - 1), step > 0 ? 1U : 0U);
  }
}

TEST(NodeKeys, AreNotAPeerOfThemselves) {
  TestNode node(kHourStartMs);
  const PeerKeys self = peer_of(node, 1);

  const NodeSnapshot snapshot = snapshot_of(node, kHourStartMs, {&self, 1});

  EXPECT_TRUE(snapshot.peers.empty());
  EXPECT_EQ(snapshot.begin.peer_count, 0U);
}

TEST(NodeKeys, GiveEveryStartARangeOfItsOwnInEveryEpoch) {
  TestNode node(kHourStartMs);
  for (std::uint64_t start = 0; start < 10; ++start) {
    ASSERT_TRUE(node.keys.begin_start(1, kHourStartMs));

    const NodeSnapshot snapshot = snapshot_of(node, kHourStartMs);

    for (const std::uint64_t epoch : {kEpoch, kEpoch + 1}) {
      const control_port::SequenceRange* const range = range_of(snapshot, epoch);
      ASSERT_NE(range, nullptr);
      EXPECT_EQ(range->first, start << 34);
      EXPECT_EQ(range->end, (start + 1) << 34);
      EXPECT_EQ(range_of(snapshot_of(node, kHourStartMs), epoch)->first, range->first);
    }
  }
}

TEST(NodeKeys, NeverGiveARangeTwiceWhateverTheClockDoes) {
  TestNode node(kHourStartMs);
  std::set<std::pair<std::uint64_t, std::uint64_t>> given;
  const std::array<std::uint64_t, 9> steps = {0, 1, 2, 0, 3, 5, 1, 2, 0};
  for (const std::uint64_t step : steps) {
    const std::uint64_t now_ms = kHourStartMs + step * kEpochMs;
    ASSERT_TRUE(node.keys.begin_start(1, now_ms));
    const NodeSnapshot snapshot = snapshot_of(node, now_ms);
    ASSERT_NE(range_of(snapshot, onion::epoch_of(now_ms)), nullptr);
    for (const control_port::SequenceRange& range : snapshot.begin.sequences) {
      EXPECT_TRUE(given.emplace(range.epoch, range.first).second) << range.epoch - kEpoch;
    }
  }
}

TEST(NodeKeys, RefuseAStartWithoutARangeUntilTheNextEpoch) {
  TestNode node(kHourStartMs);
  std::set<std::uint16_t> allocs;
  for (int start = 0; start < 64; ++start) {
    ASSERT_TRUE(node.keys.begin_start(16, kHourStartMs));
    const NodeSnapshot snapshot = snapshot_of(node, kHourStartMs);
    ASSERT_NE(range_of(snapshot, kEpoch), nullptr);
    EXPECT_LE(range_of(snapshot, kEpoch)->end, onion::kSeqMax + 1);
    for (std::uint16_t worker = 0; worker < 16; ++worker) {
      EXPECT_TRUE(
          allocs.insert(static_cast<std::uint16_t>(snapshot.begin.salt_alloc_first + worker))
              .second);
    }
  }

  const auto refused = node.keys.begin_start(16, kHourStartMs + kEpochMs - 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::full);
}

TEST(NodeKeys, KeepSaltsApartThroughManyEpochsOfStarts) {
  TestNode node(kHourStartMs);
  for (std::uint64_t epoch = 0; epoch < 600; ++epoch) {
    std::set<std::uint16_t> allocs;
    for (int start = 0; start < 20; ++start) {
      const std::uint64_t now_ms = kHourStartMs + epoch * kEpochMs;
      ASSERT_TRUE(node.keys.begin_start(3, now_ms));
      const std::uint16_t first = snapshot_of(node, now_ms).begin.salt_alloc_first;
      ASSERT_LE(first + 3, 4096);
      for (std::uint16_t worker = 0; worker < 3; ++worker) {
        EXPECT_TRUE(allocs.insert(static_cast<std::uint16_t>(first + worker)).second);
      }
    }
  }
}

TEST(NodeKeys, MakeNewKeysWhereTheClockJumps) {
  TestNode node(kHourStartMs);
  const NodeSnapshot before = snapshot_of(node, kHourStartMs);

  const NodeSnapshot far = snapshot_of(node, kHourStartMs + 1000 * kEpochMs);
  EXPECT_EQ(epochs_of(far), (std::vector<std::uint64_t>{kEpoch + 1000, kEpoch + 1001}));
  const NodeSnapshot back = snapshot_of(node, kHourStartMs);

  ASSERT_NE(epoch_of(back, kEpoch), nullptr);
  EXPECT_NE(epoch_of(back, kEpoch)->segment.bytes(), epoch_of(before, kEpoch)->segment.bytes());
  EXPECT_LE(back.begin.epochs.size(), onion::kEpochsMax);
  EXPECT_LE(back.begin.hours.size(), onion::kHoursMax);
}

TEST(NodeKeys, AnotherProcessGoesOnWithTheSameKeysAndNewNumbers) {
  TestNode node(kHourStartMs);
  ASSERT_TRUE(node.keys.begin_start(2, kHourStartMs));
  const NodeSnapshot before = snapshot_of(node, kHourStartMs);
  const auto record = node.keys.make_record({}, kHourStartMs);
  NodeKeys::State state;
  node.keys.save(state);

  CountingSource source;
  const Random identity_source = source.random();
  NodeKeys again(IdentitySecret::generate(identity_source), system_random(), kHourStartMs, state);
  EXPECT_TRUE(again.have_served());
  ASSERT_TRUE(again.begin_start(2, kHourStartMs));
  const NodeSnapshot after = *again.make_snapshot(onion::Endpoint{}, {}, kHourStartMs);
  EXPECT_EQ(epochs_of(before), epochs_of(after));
  for (std::size_t i = 0; i < before.begin.epochs.size(); ++i) {
    EXPECT_EQ(before.begin.epochs[i].segment.bytes(), after.begin.epochs[i].segment.bytes());
    EXPECT_EQ(before.begin.epochs[i].cookie.bytes(), after.begin.epochs[i].cookie.bytes());
  }
  ASSERT_EQ(before.begin.hours.size(), after.begin.hours.size());
  for (std::size_t i = 0; i < before.begin.hours.size(); ++i) {
    EXPECT_EQ(before.begin.hours[i].public_key, after.begin.hours[i].public_key);
  }
  // Neither a link number nor a salt comes twice.
  EXPECT_GT(after.begin.serial, before.begin.serial);
  EXPECT_GE(after.begin.sequences.front().first, before.begin.sequences.front().end);
  EXPECT_GE(after.begin.salt_alloc_first, before.begin.salt_alloc_first + 2);
}

TEST(NodeKeys, TakeNoStateOfAnotherIdentityAndNoneThatIsEmpty) {
  TestNode node(kHourStartMs);
  NodeKeys::State state;
  node.keys.save(state);
  const auto own = node.keys.public_keys(kHourStartMs);

  NodeKeys other(IdentitySecret::generate(system_random()), system_random(), kHourStartMs, state);
  EXPECT_NE(other.public_keys(kHourStartMs).front().public_key, own.front().public_key);
  const NodeKeys::State empty;
  CountingSource source;
  const NodeKeys fresh(IdentitySecret::generate(source.random()), system_random(), kHourStartMs,
                       empty);
  EXPECT_FALSE(fresh.have_served());
  EXPECT_NE(fresh.public_keys(kHourStartMs).front().public_key, own.front().public_key);
}

}  // namespace
}  // namespace allium::control
