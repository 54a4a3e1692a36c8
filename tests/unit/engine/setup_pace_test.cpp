// SPDX-License-Identifier: Apache-2.0
// Setup work and data share a worker: the rule by itself, and whole workers whose key agreement takes a time of the
// test's own.
#include "dataplane/engine/setup_pace.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "ring_world.hpp"
#include "test_client.hpp"

namespace allium::dataplane {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

constexpr std::uint64_t kTscPerUs = kTscHz / 1'000'000;
constexpr std::uint64_t kTscPerMs = kTscHz / 1'000;

// A worker's time, as the rule sees it: turns of data that take `data_us` each, key agreements of `lane_us`.
struct PacedWorker {
  SetupPace pace{kTscHz, 25};
  std::uint64_t lane_us = 50;
  std::uint64_t now_tsc = 5 * kTscPerMs;
  std::uint64_t setup_tsc = 0;
  std::uint64_t batch_tsc_max = 0;
  std::size_t opened = 0;

  std::size_t turn(std::size_t data, std::size_t waiting, std::uint64_t data_us) {
    now_tsc += data_us * kTscPerUs;
    const std::size_t received = data + (waiting > 0 ? 1 : 0);
    if (!pace.enter_turn({now_tsc / kTscPerMs, received, data, waiting})) {
      return 0;
    }
    const std::size_t lanes = pace.lanes_due(now_tsc);
    if (lanes > 0) {
      const std::uint64_t begin = now_tsc;
      now_tsc += lanes * lane_us * kTscPerUs;
      pace.enter_batch(lanes, begin, now_tsc);
      setup_tsc += now_tsc - begin;
      batch_tsc_max = std::max(batch_tsc_max, now_tsc - begin);
      opened += lanes;
    }
    return lanes;
  }
};

TEST(SetupPace, AFloodOfSetupsTakesItsShareBesideDataAndNoMore) {
  for (const std::uint64_t lane_us : {5U, 50U, 300U}) {
    PacedWorker worker;
    worker.lane_us = lane_us;
    const std::uint64_t begin = worker.now_tsc;
    for (int turn = 0; turn < 20'000; ++turn) {
      worker.turn(32, 256, 10);
    }
    const double share =
        static_cast<double>(worker.setup_tsc) / static_cast<double>(worker.now_tsc - begin);
    EXPECT_LT(share, 0.251) << lane_us;
    EXPECT_GT(share, 0.22) << lane_us;
    // So long a wait the device's queue must bear: a slice, or one packet.
    EXPECT_LE(worker.batch_tsc_max, std::max(SetupPace::kSliceUs, lane_us) * kTscPerUs) << lane_us;
  }
}

TEST(SetupPace, WithoutDataSetupsHaveTheWholeCore) {
  PacedWorker worker;
  for (int turn = 0; turn < 100; ++turn) {
    EXPECT_EQ(worker.turn(0, 256, 1), 32U);
  }
}

// Data that leaves turns empty is not hurt by what runs in them, but the batches stay short.
TEST(SetupPace, TurnsWithoutDataAreTakenInShortBatches) {
  PacedWorker worker;
  for (std::size_t turn = 0; turn < 1000; ++turn) {
    worker.turn((turn + 1) % 2, 256, 10);
  }
  // One in the first turn, to know what it takes; then two of 50 us in each turn without data.
  EXPECT_EQ(worker.opened, 1U + 500 * 2);
  EXPECT_LE(worker.batch_tsc_max, SetupPace::kSliceUs * kTscPerUs);
}

TEST(SetupPace, AFewWaitForCompanyWhilePacketsCome) {
  SetupPace pace(kTscHz, 25);
  const std::uint64_t start = 1'000 * kTscPerMs;
  ASSERT_TRUE(pace.enter_turn({1, 3, 2, 1}));
  EXPECT_EQ(pace.lanes_due(start), 0U);
  ASSERT_TRUE(pace.enter_turn({1, 3, 2, 7}));
  EXPECT_EQ(pace.lanes_due(start + SetupPace::kCompanyUs * kTscPerUs - 1), 0U);
  ASSERT_TRUE(pace.enter_turn({1, 3, 2, 7}));
  EXPECT_GT(pace.lanes_due(start + SetupPace::kCompanyUs * kTscPerUs), 0U);
  ASSERT_TRUE(pace.enter_turn({1, 3, 2, 8}));
  EXPECT_GT(pace.lanes_due(start), 0U);
}

TEST(SetupPace, ALoneOneGoesAtOnceWhereNothingComes) {
  SetupPace pace(kTscHz, 25);
  EXPECT_FALSE(pace.enter_turn({1000, 0, 0, 0}));
  ASSERT_TRUE(pace.enter_turn({1000, 0, 0, 1}));
  EXPECT_EQ(pace.lanes_due(12345), 1U);
}

// A guest that was not run for a second during a batch does not shut the door for three.
TEST(SetupPace, AnInterruptedBatchIsForgivenSoon) {
  PacedWorker worker;
  ASSERT_TRUE(worker.pace.enter_turn({worker.now_tsc / kTscPerMs, 32, 31, 9}));
  worker.pace.enter_batch(8, worker.now_tsc, worker.now_tsc + 1'000 * kTscPerMs);
  worker.now_tsc += 1'000 * kTscPerMs;
  std::size_t turns = 0;
  while (worker.turn(32, 256, 100) == 0 && turns < 1'000) {
    ++turns;
  }
  EXPECT_LE(turns, SetupPace::kPauseMaxUs / 100 + 1);
}

// ---- whole workers ----

WorldTime* time_of_agreement = nullptr;
constexpr std::uint64_t kLaneUs = 50;  // as libsodium takes

// One that costs kLaneUs a packet of the world's time.
crypto_accel::LaneMask slow_agreement(const crypto_accel::PrivateKey& scalar,
                                      std::span<const crypto_accel::PublicKey> points,
                                      std::span<crypto_accel::SharedSecret> shared) noexcept {
  time_of_agreement->now_tsc += points.size() * kLaneUs * kTscPerUs;
  return crypto_accel::x25519_kernels().front().run(scalar, points, shared);
}

class SharedWorker : public testing::Test {
 protected:
  void SetUp() override {
    time_of_agreement = &world_.time();
    auto path = client_.open_path({0}, Service::drop);
    ASSERT_TRUE(path);
    path_ = std::move(*path);
    world_.advance_ms(5);
  }

  WorldOptions options() {
    slow_ = crypto_accel::x25519_kernels().front();
    slow_.run = slow_agreement;
    kernels_.x25519 = &slow_;
    WorldOptions options;
    options.relay_count = 1;
    options.kernels = &kernels_;
    options.has_own_tsc = true;
    options.setups_waiting_max = 64;
    return options;
  }

  void send_setups(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto setup = client_.setup(PacketType::s0, {0}, Service::drop, {});
      ASSERT_TRUE(world_.send(0, setup.datagram.view()));
    }
  }

  void send_data(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(world_.send(0, client_.data(PacketClass::v, path_, next_seq_++, {}).view()));
    }
  }

  // Time goes on by the cycles that turns take.
  void turn(std::uint64_t data_us) {
    world_.time().now_tsc += data_us * kTscPerUs;
    const std::uint64_t now_ms = start_ms_ + world_.time().now_tsc / kTscPerMs;
    world_.advance_ms(now_ms - world_.now_ms());
    world_.relay(0).poll();
  }

  [[nodiscard]] std::uint64_t delivered(PacketType type) {
    const auto counters = world_.relay(0).counters();
    return counters
        .by_type[static_cast<std::size_t>(type)][static_cast<std::size_t>(Verdict::deliver)];
  }

  crypto_accel::X25519Kernel slow_{};
  crypto_accel::KernelSet kernels_ = *crypto_accel::select_kernels("");
  RingWorld world_{options()};
  TestClient client_{world_};
  ClientPath path_;
  std::uint64_t start_ms_ = world_.now_ms() + 10;
  std::uint64_t next_seq_ = 0;
};

TEST_F(SharedWorker, DataIsDoneInItsOwnTurnHoweverManySetupsCome) {
  constexpr std::uint64_t kTurns = 300;
  const std::uint64_t setups_before = delivered(PacketType::s0);
  const std::uint64_t begin = world_.time().now_tsc;
  for (std::uint64_t done = 0; done < kTurns; ++done) {
    send_setups(8);
    send_data(8);
    turn(20);
    ASSERT_EQ(delivered(PacketType::vf), (done + 1) * 8);
    ASSERT_TRUE(is_balanced(world_.relay(0).counters()));
    ASSERT_LE(world_.relay(0).setups_waiting(), 64U);
    ASSERT_EQ(world_.relay(0).counters().parked, world_.relay(0).setups_waiting());
  }
  // 20 us of data a turn are three quarters, so setup work has a third of that on top.
  const std::uint64_t opened = delivered(PacketType::s0) - setups_before;
  const std::uint64_t data_us = kTurns * 20;
  EXPECT_LE(opened * kLaneUs, data_us / 3 + SetupPace::kSliceUs);
  EXPECT_GE(opened * kLaneUs, data_us / 4);
  EXPECT_EQ(world_.time().now_tsc - begin, (data_us + opened * kLaneUs) * kTscPerUs);
  EXPECT_EQ(world_.relay(0).drops(Verdict::rate),
            kTurns * 8 - opened - world_.relay(0).setups_waiting());
  world_.settle();
  world_.expect_balanced();
}

TEST_F(SharedWorker, SetupsAreOpenedHoweverMuchDataComes) {
  const std::uint64_t setups_before = delivered(PacketType::s0);
  send_setups(16);
  std::uint64_t turns = 0;
  while (delivered(PacketType::s0) - setups_before < 16) {
    send_data(32);
    turn(20);
    ASSERT_LT(++turns, 200U);
  }
  // 16 of 50 us are a quarter of 3200 us: 120 turns of 20 us, and those that wait for company.
  EXPECT_LE(turns, 130U);
  world_.settle();
  world_.expect_balanced();
}

TEST_F(SharedWorker, AnIdleWorkerOpensAllThatCome) {
  const std::uint64_t setups_before = delivered(PacketType::s0);
  for (int round = 0; round < 20; ++round) {
    send_setups(32);
    turn(1);
    EXPECT_EQ(world_.relay(0).setups_waiting(), 0U);
  }
  EXPECT_EQ(delivered(PacketType::s0) - setups_before, 640U);
  EXPECT_EQ(world_.relay(0).drops(Verdict::rate), 0U);
  world_.expect_balanced();
}

// Lost packets would empty the pool, which has 8191.
TEST_F(SharedWorker, AnEngineThatEndsFreesWhatWaits) {
  const auto setup = client_.setup(PacketType::s0, {0}, Service::drop, {});
  for (int round = 0; round < 140; ++round) {
    send_data(1);
    for (int i = 0; i < 63; ++i) {
      ASSERT_TRUE(world_.send(0, setup.datagram.view()));
    }
    turn(0);
    turn(0);
    send_data(1);
    turn(0);
    ASSERT_GE(world_.relay(0).setups_waiting(), 60U);
    world_.relay(0).restart();
    world_.publish_all();
    world_.publish_neighbours();
  }
}

}  // namespace
}  // namespace allium::dataplane
