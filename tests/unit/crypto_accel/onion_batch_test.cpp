// SPDX-License-Identifier: Apache-2.0

// Every onion kernel that this CPU runs against the slow oracle: every function, packet shape, lane
// count and offset, with pages around the buffers that nobody may touch. Lanes outside the mask
// have null pointers, and their results must stay as they were.

#include "crypto_accel/onion_batch.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <ostream>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/oracle/onion_oracle.hpp"
#include "tests/unit/crypto_accel/guarded_buffer.hpp"
#include "tests/unit/crypto_accel/test_bytes.hpp"

namespace allium::crypto_accel {

// GoogleTest finds it by the argument's namespace; test names would have addresses in them without.
// NOLINTNEXTLINE(readability-identifier-naming): the name is GoogleTest's
static void PrintTo(const OnionKernel* kernel, std::ostream* stream) {
  *stream << kernel->name;
}

namespace {

using test::ByteVector;
using test::GuardedBuffer;
using test::Placement;
using test::TestRandom;

struct NamedShape {
  std::string_view name;
  LayerShape shape;
};

constexpr std::array<NamedShape, 7> kShapes{{
    {"DF", {0, 1, 128, 1072}},
    {"DB", {1, 1, 128, 1072}},
    {"VF", {0, 2, 96, 128}},
    {"VB", {1, 2, 96, 128}},
    {"S0", {0, 3, 400, 800}},
    {"S1", {0, 4, 656, 544}},
    {"R", {1, 5, 144, 1056}},
}};

// What no function may leave behind in a lane that it was not asked to do.
constexpr Block kUntouched{0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5,
                           0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
constexpr std::uint64_t kUntouchedTag = 0xa5a5a5a5a5a5a5a5;

constexpr Placement kFront{Placement::Edge::front, 0};
constexpr Placement kBack{Placement::Edge::back, 0};

// One lane: what goes in, and what the oracle says comes out.
struct Lane {
  Block secret{};
  Block ctx{};
  Block x_l{};
  ByteVector x_r;
  ByteVector header;
  ByteVector datagram;  // LL, HR, T
  ByteVector mac_message;
  Block replay_key{};
  Block link_mac_key{};
  Block link_veil_key{};

  oracle::LayerKeys keys{};
  oracle::Layer after{};
  ByteVector shifted;
  Block mac{};
  Block longer_mac{};  // of X_L' as well
  std::uint64_t replay_tag{};
  std::uint64_t link_tag{};
  ByteVector veiled;
};

Lane make_lane(const LayerShape& shape, TestRandom& random) {
  Lane lane{};
  lane.secret = random.block();
  lane.ctx = oracle::layer_ctx(shape.direction, shape.packet_class,
                               static_cast<std::uint16_t>(random.word()));
  lane.x_l = random.block();
  lane.x_r = random.bytes(shape.x_r_bytes);
  lane.header = random.bytes(shape.header_bytes);
  lane.datagram = random.bytes(std::size_t{16} + shape.header_bytes + 16);
  lane.mac_message = random.bytes(shape.header_bytes);
  lane.replay_key = random.block();
  lane.link_mac_key = random.block();
  lane.link_veil_key = random.block();

  lane.keys = oracle::layer_keys(lane.secret, shape.direction, shape.packet_class);
  lane.after = oracle::encrypt_layer(lane.keys, lane.ctx, lane.x_l, lane.x_r);
  lane.shifted = oracle::shift_header(
      lane.header, oracle::header_mask(lane.keys, shape.direction, shape.packet_class, lane.after.w,
                                       shape.header_bytes));
  lane.mac = oracle::cbcmac(lane.keys.k_m, lane.mac_message);
  ByteVector longer = lane.mac_message;
  longer.insert(longer.end(), lane.after.x_l.begin(), lane.after.x_l.end());
  lane.longer_mac = oracle::cbcmac(lane.keys.k_m, longer);
  lane.replay_tag = oracle::replay_tag(lane.replay_key, lane.keys, lane.x_l);
  lane.link_tag = oracle::link_tag(lane.link_mac_key, lane.datagram, shape.header_bytes);
  lane.veiled = lane.datagram;
  const ByteVector header =
      oracle::link_veil(lane.link_veil_key, lane.datagram, shape.header_bytes);
  std::copy(header.begin(), header.end(), lane.veiled.begin() + 16);
  return lane;
}

// The oracle is slow, so each shape's lanes are made once for all tests.
const Lanes<Lane>& lanes_of(std::size_t shape_index) {
  static std::map<std::size_t, std::unique_ptr<Lanes<Lane>>> made;
  std::unique_ptr<Lanes<Lane>>& lanes = made[shape_index];
  if (lanes == nullptr) {
    TestRandom random(shape_index + 1);
    lanes = std::make_unique<Lanes<Lane>>();
    for (Lane& lane : *lanes) {
      lane = make_lane(kShapes[shape_index].shape, random);
    }
  }
  return *lanes;
}

constexpr bool in_mask(LaneMask mask, std::size_t index) {
  return (mask >> index & 1) != 0;
}

// One guarded page a lane for one kind of buffer.
class LaneBuffers {
 public:
  LaneBuffers() : buffers_(kLanesMax) {}

  template <typename Select>
  void place(LaneMask mask, const Placement& placement, Select bytes_of) {
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      pointers_[i] = in_mask(mask, i) ? buffers_[i].place(placement, bytes_of(i)) : nullptr;
      sources_[i] = pointers_[i];
    }
  }

  [[nodiscard]] const Lanes<std::uint8_t*>& targets() const { return pointers_; }

  [[nodiscard]] const Lanes<const std::uint8_t*>& sources() const { return sources_; }

  [[nodiscard]] ByteVector content(std::size_t index, std::size_t byte_count) const {
    return ByteVector(pointers_[index], pointers_[index] + byte_count);
  }

 private:
  std::vector<GuardedBuffer> buffers_;
  Lanes<std::uint8_t*> pointers_{};
  Lanes<const std::uint8_t*> sources_{};
};

// Runs one kernel over one shape and compares lane by lane.
class ShapeTrial {
 public:
  ShapeTrial(const OnionKernel& kernel, std::size_t shape_index)
      : batch_(kernel), lanes_(lanes_of(shape_index)), shape_(kShapes[shape_index].shape) {
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      secrets_[i] = lanes_[i].secret;
      contexts_[i] = lanes_[i].ctx;
      batch_.expand_key(lanes_[i].replay_key, replay_keys_[i]);
      batch_.expand_key(lanes_[i].link_mac_key, link_keys_[i].mac);
      batch_.expand_key(lanes_[i].link_veil_key, link_keys_[i].veil);
    }
  }

  void run(LaneMask mask, const Placement& placement) {
    batch_.derive(shape_, mask, secrets_);
    left_and_mac(mask, placement);
    right_and_shift(mask, placement);
    for (const LaneMask right :
         {LaneMask{0x33333333}, LaneMask{0x0000ffff}, LaneMask{0xfff0000f}}) {
      both(mask & right, mask & ~right, placement);
    }
    replay(mask, placement);
    link(mask, placement);
  }

 private:
  void expect_blocks(LaneMask mask, const Lanes<Block>& got, Block Lane::*wanted) const {
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(got[i], in_mask(mask, i) ? lanes_[i].*wanted : kUntouched) << "lane " << i;
    }
  }

  void left_and_mac(LaneMask mask, const Placement& placement) {
    Lanes<Block> result{};
    result.fill(kUntouched);
    x_l_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].x_l); });
    x_r_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].x_r); });
    batch_.layer_left(shape_, mask, contexts_, x_l_.sources(), x_r_.sources(), result);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(result[i], in_mask(mask, i) ? lanes_[i].after.x_l : kUntouched) << "lane " << i;
      if (in_mask(mask, i)) {
        EXPECT_EQ(x_r_.content(i, shape_.x_r_bytes), lanes_[i].x_r) << "lane " << i;
      }
    }

    result.fill(kUntouched);
    header_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].mac_message); });
    batch_.header_mac(mask, header_.sources(), shape_.header_bytes, result);
    expect_blocks(mask, result, &Lane::mac);
  }

  void right_and_shift(LaneMask mask, const Placement& placement) {
    Lanes<Block> left{};
    Lanes<Block> w{};
    w.fill(kUntouched);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      left[i] = lanes_[i].after.x_l;
    }
    batch_.layer_right(shape_, mask, left, x_r_.targets(), w);
    header_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].header); });
    batch_.header_shift(shape_, mask, w, header_.targets());
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(w[i], in_mask(mask, i) ? lanes_[i].after.w : kUntouched) << "lane " << i;
      if (in_mask(mask, i)) {
        EXPECT_EQ(x_r_.content(i, shape_.x_r_bytes), lanes_[i].after.x_r) << "lane " << i;
        EXPECT_EQ(header_.content(i, shape_.header_bytes), lanes_[i].shifted) << "lane " << i;
      }
    }
  }

  void both(LaneMask right, LaneMask left, const Placement& placement) {
    Lanes<Block> x_l_out{};
    Lanes<Block> w{};
    w.fill(kUntouched);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      x_l_out[i] = in_mask(right, i) ? lanes_[i].after.x_l : kUntouched;
    }
    x_l_.place(left, placement, [&](std::size_t i) { return Bytes(lanes_[i].x_l); });
    x_r_.place(right | left, placement, [&](std::size_t i) { return Bytes(lanes_[i].x_r); });
    Lanes<Block> mac{};
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      mac[i] = in_mask(left, i) ? lanes_[i].mac : kUntouched;
    }
    batch_.layer_both(shape_, right, x_r_.targets(), w, left, contexts_, x_l_.sources(),
                      x_r_.sources(), x_l_out, mac);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(mac[i], in_mask(left, i) ? lanes_[i].longer_mac : kUntouched) << "lane " << i;
      EXPECT_EQ(x_l_out[i], in_mask(right | left, i) ? lanes_[i].after.x_l : kUntouched)
          << "lane " << i;
      EXPECT_EQ(w[i], in_mask(right, i) ? lanes_[i].after.w : kUntouched) << "lane " << i;
      if (in_mask(right | left, i)) {
        EXPECT_EQ(x_r_.content(i, shape_.x_r_bytes),
                  in_mask(right, i) ? lanes_[i].after.x_r : lanes_[i].x_r)
            << "lane " << i;
      }
    }
  }

  void replay(LaneMask mask, const Placement& placement) {
    Lanes<std::uint64_t> tags{};
    Lanes<const AesKey*> keys{};
    tags.fill(kUntouchedTag);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      keys[i] = in_mask(mask, i) ? &replay_keys_[i] : nullptr;
    }
    x_l_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].x_l); });
    batch_.replay_tag(mask, keys, x_l_.sources(), tags);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(tags[i], in_mask(mask, i) ? lanes_[i].replay_tag : kUntouchedTag) << "lane " << i;
    }
  }

  void link(LaneMask mask, const Placement& placement) {
    Lanes<std::uint64_t> tags{};
    Lanes<const LinkKey*> keys{};
    tags.fill(kUntouchedTag);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      keys[i] = in_mask(mask, i) ? &link_keys_[i] : nullptr;
    }
    header_.place(mask, placement, [&](std::size_t i) { return Bytes(lanes_[i].datagram); });
    batch_.link_tag(shape_.header_bytes, mask, keys, header_.sources(), tags);
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      EXPECT_EQ(tags[i], in_mask(mask, i) ? lanes_[i].link_tag : kUntouchedTag) << "lane " << i;
    }
    expect_datagrams(mask, &Lane::datagram);
    batch_.link_veil(shape_.header_bytes, mask, keys, header_.targets());
    expect_datagrams(mask, &Lane::veiled);
  }

  void expect_datagrams(LaneMask mask, ByteVector Lane::*wanted) const {
    for (std::size_t i = 0; i < kLanesMax; ++i) {
      if (in_mask(mask, i)) {
        const ByteVector& expected = lanes_[i].*wanted;
        EXPECT_EQ(header_.content(i, expected.size()), expected) << "lane " << i;
      }
    }
  }

  Lanes<AesKey> replay_keys_{};
  Lanes<LinkKey> link_keys_{};
  OnionBatch batch_;
  const Lanes<Lane>& lanes_;
  LayerShape shape_;
  Lanes<Block> secrets_{};
  Lanes<Block> contexts_{};
  LaneBuffers x_l_;
  LaneBuffers x_r_;
  LaneBuffers header_;
};

std::string test_name(std::string_view kernel) {
  std::string name(kernel);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class OnionKernelTest : public testing::TestWithParam<const OnionKernel*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) {
      GTEST_SKIP() << "this CPU cannot run " << GetParam()->name;
    }
  }
};

class OnionShapeTest : public testing::TestWithParam<std::tuple<const OnionKernel*, std::size_t>> {
 protected:
  void SetUp() override {
    if (!kernel().supported()) {
      GTEST_SKIP() << "this CPU cannot run " << kernel().name;
    }
  }

  static const OnionKernel& kernel() { return *std::get<0>(GetParam()); }

  static std::size_t shape_index() { return std::get<1>(GetParam()); }
};

std::vector<const OnionKernel*> all_kernels() {
  std::vector<const OnionKernel*> kernels;
  for (const OnionKernel& kernel : onion_kernels()) {
    kernels.push_back(&kernel);
  }
  return kernels;
}

INSTANTIATE_TEST_SUITE_P(Kernels, OnionKernelTest, testing::ValuesIn(all_kernels()),
                         [](const auto& tested) { return test_name(tested.param->name); });

INSTANTIATE_TEST_SUITE_P(Kernels, OnionShapeTest,
                         testing::Combine(testing::ValuesIn(all_kernels()),
                                          testing::Range(std::size_t{0}, kShapes.size())),
                         [](const auto& tested) {
                           return test_name(std::get<0>(tested.param)->name) + "_" +
                                  std::string(kShapes[std::get<1>(tested.param)].name);
                         });

TEST_P(OnionShapeTest, EqualsTheOracleForEveryLaneCount) {
  ShapeTrial trial(kernel(), shape_index());
  for (std::size_t lane_count = 0; lane_count <= kLanesMax; ++lane_count) {
    SCOPED_TRACE(lane_count);
    trial.run(first_lanes(lane_count), kBack);
  }
}

TEST_P(OnionShapeTest, LeavesTheOtherLanesOfASparseMaskAlone) {
  ShapeTrial trial(kernel(), shape_index());
  TestRandom random(99);
  std::vector<LaneMask> masks{0x80000000, 0x55555555, 0xaaaaaaaa, 0x80000001, 0x00010000};
  for (int i = 0; i < 32; ++i) {
    masks.push_back(random.word() & random.word());
  }
  for (const LaneMask mask : masks) {
    SCOPED_TRACE(testing::Message() << std::hex << mask);
    trial.run(mask, kFront);
  }
}

TEST_P(OnionShapeTest, TakesBuffersAtEveryOffset) {
  ShapeTrial trial(kernel(), shape_index());
  for (std::size_t offset = 0; offset < 64; ++offset) {
    SCOPED_TRACE(offset);
    trial.run(first_lanes(17), Placement{Placement::Edge::front, offset});
  }
}

TEST_P(OnionKernelTest, KeepsTheKeysOfLanesThatAreNotDerivedAgain) {
  OnionBatch batch(*GetParam());
  constexpr LaneMask kEven = 0x55555555;
  const std::array<const Lanes<Lane>*, 2> lanes{&lanes_of(0), &lanes_of(3)};
  Lanes<Block> secrets{};
  Lanes<const std::uint8_t*> messages{};
  Lanes<Block> macs{};
  for (std::size_t i = 0; i < kLanesMax; ++i) {
    secrets[i] = (*lanes[i % 2])[i].secret;
    messages[i] = (*lanes[0])[i].mac_message.data();
  }

  batch.derive(kShapes[0].shape, kEven, secrets);
  batch.derive(kShapes[3].shape, ~kEven, secrets);
  batch.header_mac(first_lanes(kLanesMax), messages, 128, macs);

  for (std::size_t i = 0; i < kLanesMax; ++i) {
    const Lane& lane = (*lanes[i % 2])[i];
    EXPECT_EQ(macs[i], oracle::cbcmac(lane.keys.k_m, Bytes(messages[i], 128))) << "lane " << i;
  }
}

TEST_P(OnionKernelTest, MakesHeaderMacsAndClientTagsAsThePacketsHaveThem) {
  OnionBatch batch(*GetParam());
  constexpr std::uint16_t kSlot = 0x3e5e;
  for (const std::size_t shape_index : {std::size_t{0}, std::size_t{3}}) {
    const LayerShape& shape = kShapes[shape_index].shape;
    const Lane& lane = lanes_of(shape_index)[0];
    const Block tag_ctx =
        oracle::layer_ctx(1, static_cast<std::uint8_t>(shape.packet_class | 0x40), kSlot);
    ByteVector message(tag_ctx.begin(), tag_ctx.end());
    message.insert(message.end(), lane.x_l.begin(), lane.x_l.end());
    Lanes<Block> macs{};

    batch.derive(shape, 1, Lanes<Block>{lane.secret});
    batch.header_mac(1, Lanes<const std::uint8_t*>{message.data()}, message.size(), macs);

    const ByteVector tag = oracle::client_tag(lane.keys, shape.packet_class, kSlot, lane.x_l);
    EXPECT_TRUE(std::equal(tag.begin(), tag.end(), macs[0].begin()));
  }
}

void expect_blocks_of_one_key(OnionBatch& batch, LaneMask mask, TestRandom& random) {
  const Block key = random.block();
  AesKey expanded{};
  LaneBuffers buffers;
  Lanes<Block> source{};
  Lanes<Block> sealed{};
  Lanes<Block> opened{};
  sealed.fill(kUntouched);
  opened.fill(kUntouched);
  std::generate(source.begin(), source.end(), [&] { return random.block(); });
  buffers.place(mask, kBack, [&](std::size_t i) { return Bytes(source[i]); });

  batch.expand_key(key, expanded);
  batch.encrypt_blocks(expanded, mask, source, sealed);
  batch.decrypt_blocks(expanded, mask, buffers.sources(), opened);

  for (std::size_t i = 0; i < kLanesMax; ++i) {
    const bool done = in_mask(mask, i);
    EXPECT_EQ(sealed[i], done ? oracle::aes_encrypt(key, source[i]) : kUntouched) << "lane " << i;
    EXPECT_EQ(opened[i], done ? oracle::aes_decrypt(key, source[i]) : kUntouched) << "lane " << i;
  }
}

TEST_P(OnionKernelTest, OpensAndSealsBlocksUnderOneKeyForEveryLaneCount) {
  OnionBatch batch(*GetParam());
  TestRandom random(7);
  for (std::size_t lane_count = 0; lane_count <= kLanesMax; ++lane_count) {
    SCOPED_TRACE(lane_count);
    expect_blocks_of_one_key(batch, first_lanes(lane_count), random);
    expect_blocks_of_one_key(batch, first_lanes(lane_count) & random.word(), random);
  }
}

TEST_P(OnionKernelTest, GivesTheSameAnswersWhenTwoObjectsTakeTurns) {
  ShapeTrial first(*GetParam(), 2);
  ShapeTrial second(onion_kernels().front(), 1);
  for (const LaneMask mask : {LaneMask{0xffff}, LaneMask{0xf0f0f0f0}}) {
    first.run(mask, kBack);
    second.run(~mask, kFront);
  }
}

TEST(OnionKernels, HaveDifferentNamesAndThePortableOneFirst) {
  ASSERT_GE(onion_kernels().size(), 2U);
  EXPECT_EQ(onion_kernels().front().name, "ipsec-mb-sse");
  EXPECT_NE(onion_kernels()[0].name, onion_kernels()[1].name);
}

TEST(OnionBatchDeathTest, EndsTheProgramWhereAPartOfABlockIsAsked) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const OnionKernel& kernel = onion_kernels().front();
  if (!kernel.supported()) {
    GTEST_SKIP() << "this CPU cannot run " << kernel.name;
  }
  OnionBatch batch(kernel);
  Lanes<Block> macs{};
  EXPECT_DEATH(batch.header_mac(0, {}, 17, macs), "check failed");
}

}  // namespace
}  // namespace allium::crypto_accel
