// SPDX-License-Identifier: Apache-2.0
// A worker allocates, locks, logs, reads a clock or enters the kernel for no packet. Every turn of every test over
// ring devices is watched for that; here the watch is shown to see what it is there for, also from within a
// worker, and all kinds of packets pass under it.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>

#include <gtest/gtest.h>

#include "ring_world.hpp"
#include "test_client.hpp"
#include "watched_turn.hpp"

namespace allium::dataplane {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

#define ALLIUM_SKIP_UNLESS(can, what)                                \
  if (!(can)) {                                                      \
    GTEST_SKIP() << "this machine does not let a process see " what; \
  }

// ---- the watch itself ----

TEST(WatchedTurn, SeesASystemCallAndCarriesItOut) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  WatchedTurn turn;
  const long parent = syscall(SYS_getppid);
  const long group = syscall(SYS_getpgid, 0);
  const Acts acts = turn.end();
  EXPECT_EQ(parent, getppid());
  EXPECT_EQ(group, getpgid(0));
  EXPECT_EQ(acts.system_calls, 2U);
  EXPECT_EQ(acts.first_system_call, SYS_getppid);
  WatchedTurn quiet;
  EXPECT_EQ(quiet.end().system_calls, 0U);
}

TEST(WatchedTurn, SeesALogLine) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  WatchedTurn turn;
  std::fputs("a line of a log\n", stderr);
  const Acts acts = turn.end();
  EXPECT_EQ(acts.system_calls, 1U);
  EXPECT_EQ(acts.first_system_call, SYS_write);
}

TEST(WatchedTurn, SeesAClockThatNeedsNoSystemCall) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_counter_reads(), "its reads of the time stamp counter")
  timespec before{};
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &before);
  WatchedTurn turn;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const Acts acts = turn.end();
  EXPECT_GT(acts.counter_reads + acts.system_calls, 0U);
  EXPECT_GE(now.tv_sec, before.tv_sec);
}

TEST(WatchedTurn, SeesReadsOfTheCounterAndHandsOnItsValue) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_counter_reads(), "its reads of the time stamp counter")
  unsigned processor = 0;
  const std::uint64_t before = __rdtsc();
  WatchedTurn turn;
  const std::uint64_t one = __rdtsc();
  const std::uint64_t other = __rdtscp(&processor);
  const Acts acts = turn.end();
  const std::uint64_t after = __rdtsc();
  EXPECT_EQ(acts.counter_reads, 2U);
  EXPECT_LE(before, one);
  EXPECT_LE(one, other);
  EXPECT_LE(other, after);
}

TEST(WatchedTurn, SeesALock) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_locks(), "its locks")
  std::mutex lock;
  WatchedTurn turn;
  lock.lock();
  lock.unlock();
  EXPECT_EQ(turn.end().locks, 1U);
}

TEST(WatchedTurnDeathTest, EndsTheProcessWhereMemoryIsTakenOrGivenBack) {
  const auto watched = [](auto&& act) {
    const WatchedTurn turn;
    act();
  };
  void* kept = std::malloc(16);
  const char* complaint = "a worker allocates memory";
  void* volatile taken = nullptr;
  EXPECT_DEATH(watched([&] { taken = std::malloc(16); }), complaint);
  EXPECT_DEATH(watched([&] { taken = std::calloc(2, 8); }), complaint);
  EXPECT_DEATH(watched([&] { taken = std::aligned_alloc(64, 64); }), complaint);
  EXPECT_DEATH(watched([&] { taken = ::operator new(16); }), complaint);
  void (*volatile give_back)(void*) = std::free;
  EXPECT_DEATH(watched([&] { give_back(kept); }), complaint);
  std::free(kept);
}

// ---- workers ----

// A worker made wrong: its key agreement does what a worker must not.
crypto_accel::LaneMask forbidden_agreement(const crypto_accel::PrivateKey& scalar,
                                           std::span<const crypto_accel::PublicKey> points,
                                           std::span<crypto_accel::SharedSecret> shared) noexcept {
  static std::mutex lock;
  const std::lock_guard guard(lock);
  static_cast<void>(syscall(SYS_getppid));
  for (int read = 0; read < 5; ++read) {
    static_cast<void>(__rdtsc());
  }
  WatchedTurn::note_clock_read();
  return crypto_accel::x25519_kernels().front().run(scalar, points, shared);
}

TEST(WorkerActs, WhatAWorkerMadeWrongDoesIsSeen) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  crypto_accel::X25519Kernel wrong = crypto_accel::x25519_kernels().front();
  wrong.run = forbidden_agreement;
  crypto_accel::KernelSet kernels = *crypto_accel::select_kernels("");
  kernels.x25519 = &wrong;
  WorldOptions options;
  options.kernels = &kernels;
  options.is_quiet = false;
  RingWorld world(options);
  TestClient client(world);
  ASSERT_TRUE(client.open_path({0}, Service::echo));
  const ActsOfTurns& acts = world.relay(0).acts();
  EXPECT_EQ(acts.sum.system_calls, 1U);
  EXPECT_EQ(acts.sum.clock_reads, acts.turns + 1);
  if (WatchedTurn::can_see_counter_reads()) {
    EXPECT_GE(acts.counter_reads_max, 5U);
  }
  if (WatchedTurn::can_see_locks()) {
    EXPECT_EQ(acts.sum.locks, 1U);
  }
}

class MixedTraffic : public testing::TestWithParam<bool> {
 protected:
  static WorldOptions options() {
    WorldOptions options;
    options.is_ipv6 = GetParam();
    options.frames_max = 64;  // so that a device refuses some
    options.deliveries_max = 3;
    return options;
  }

  // Relay 0 is a middle on some paths and the terminal of others, so packets pass it both ways.
  void open_paths() {
    // The entry of the last is relay 0, whose cookie the client then holds.
    for (const auto& relays : {std::vector<std::size_t>{1, 0, 2}, {0, 1}, {0}}) {
      auto path = client_.open_path(relays, Service::echo);
      ASSERT_TRUE(path);
      paths_.push_back(std::move(*path));
    }
  }

  void send_data() {
    const ClientPath& path = paths_[below(paths_.size())];
    const PacketClass packet_class = below(2) == 0 ? PacketClass::v : PacketClass::d;
    const auto data = client_.echo(packet_class, path, next_seq_++, {});
    put(path.relays.front(), data.view());
    kept_.assign(data.view().begin(), data.view().end());
  }

  void send_setup() {
    const Service service = below(2) == 0 ? Service::storage : Service::echo;
    const auto setup = client_.setup(below(2) == 0 ? PacketType::s0 : PacketType::s1, {0, 1},
                                     service, {}, below(4) == 0 ? 3 : 0);
    put(0, setup.datagram.view());
    const auto delivered = client_.setup(PacketType::s0, {0}, Service::storage, {});
    put(0, delivered.datagram.view());
    TestClient stranger(world_);  // without a cookie
    put(0, stranger.setup(PacketType::s0, {0}, service, {}).datagram.view());
  }

  void send_garbage() {
    std::vector<std::uint8_t> garbage(below(3) == 0 ? below(1300) : 1232);
    system_random()(garbage);
    put(0, garbage);
    if (!kept_.empty()) {
      put(0, kept_);  // once more
      kept_[40 + below(kept_.size() - 40)] ^= 1;
      put(0, kept_);
    }
  }

  // What a full device refuses is no matter of this test.
  void put(std::size_t relay, Bytes datagram) { static_cast<void>(world_.send(relay, datagram)); }

  std::size_t below(std::size_t bound) { return generator_() % bound; }

  std::mt19937_64 generator_{20261126};
  RingWorld world_{options()};
  TestClient client_{world_};
  std::vector<ClientPath> paths_;
  std::vector<std::uint8_t> kept_;
  std::uint64_t next_seq_ = 0;
};

// RingRelay::poll fails the test where a turn does what it must not.
TEST_P(MixedTraffic, PassesInQuiet) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_counter_reads(), "its reads of the time stamp counter")
  open_paths();
  std::uint64_t frames = 0;
  world_.on_link = [&](std::size_t, FrameBytes& frame) {
    if (++frames % 16 == 0) {
      frame[82] ^= 1;  // what the link tag covers, over IPv4 and IPv6
    }
    return true;
  };
  constexpr int kRounds = 600;
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t left = below(24); left > 0; --left) {
      send_data();
    }
    send_setup();
    send_garbage();
    if (round % 50 == 49) {
      world_.relay(0).publish_neighbours({});
      world_.settle();
      world_.publish_neighbours();
      world_.publish_all();
    }
    world_.settle();
    world_.advance_ms(10);
    static_cast<void>(world_.take_arrived());
    if (round % 4 == 0) {
      world_.relay(0).engine().read_news();
      static_cast<void>(world_.relay(0).engine().take_unresolved(100));
      for (const auto& record : world_.relay(0).engine().take_deliveries(100).records) {
        static_cast<void>(world_.relay(0).engine().reply(
            control_port::ReturnReply{record.sealed_context, 0, {}}));
      }
    }
  }
  const control_port::Counters counters = world_.relay(0).counters();
  EXPECT_TRUE(is_balanced(counters));
  EXPECT_GT(counters.received, 5'000U);
  EXPECT_GT(counters.forwarded, 1'000U);
  EXPECT_GT(counters.delivered, 1'000U);
  EXPECT_GT(counters.answers, 1'000U);
  EXPECT_GT(counters.challenges, 100U);
  for (const Verdict verdict : {Verdict::replay, Verdict::cookie, Verdict::ll_tag, Verdict::length,
                                Verdict::header_mac, Verdict::rate}) {
    EXPECT_GT(world_.relay(0).drops(verdict), 20U) << static_cast<int>(verdict);
  }
  const ActsOfTurns& acts = world_.relay(0).acts();
  EXPECT_GT(acts.turns, 1'000U);
  EXPECT_EQ(acts.sum.system_calls, 0U);
  EXPECT_EQ(acts.sum.clock_reads, acts.turns);
  EXPECT_LE(acts.sum.bells, 600U / 4 + 1);  // as often as the main thread looked
  EXPECT_GT(acts.sum.bells, 10U);
  if (!WatchedTurn::can_see_locks()) {
    return;
  }
  if (GetParam()) {
    // The handle table, for a setup packet that a client of IPv6 sends.
    EXPECT_GT(acts.sum.locks, 0U);
    std::uint64_t setups = 0;
    for (const PacketType type : {PacketType::s0, PacketType::s1}) {
      for (const std::uint64_t count : counters.by_type[static_cast<std::size_t>(type)]) {
        setups += count;
      }
    }
    EXPECT_LE(acts.sum.locks, setups);
  } else {
    EXPECT_EQ(acts.sum.locks, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(WorkerActs, MixedTraffic, testing::Bool(),
                         [](const auto& shape) { return shape.param ? "IPv6" : "IPv4"; });

// The bell is paid for by time: in one millisecond a busy worker rings once, however often it is heard.
TEST(WorkerActs, ABusyWorkerRingsOnceAMillisecond) {
  ALLIUM_SKIP_UNLESS(WatchedTurn::can_see_system_calls(), "its system calls")
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path({0}, Service::storage);
  ASSERT_TRUE(path);
  RingRelay& relay = world.relay(0);
  world.settle();
  relay.engine().read_news();
  static_cast<void>(relay.engine().take_deliveries(100));
  world.advance_ms(1);
  const std::uint64_t bells = relay.acts().sum.bells;
  const auto one_delivery = [&](std::uint64_t seq) {
    ASSERT_TRUE(world.send(0, client.data(PacketClass::v, *path, seq, {}).view()));
    ASSERT_EQ(relay.poll(), 1U);
    relay.engine().read_news();
    ASSERT_EQ(relay.engine().take_deliveries(100).records.size(), 1U);
  };
  for (std::uint64_t seq = 1; seq <= 20; ++seq) {
    one_delivery(seq);
  }
  EXPECT_EQ(relay.acts().sum.bells, bells + 1);
  relay.poll();  // idle: what waits is said now
  EXPECT_EQ(relay.acts().sum.bells, bells + 2);
  relay.engine().read_news();
  world.advance_ms(1);
  one_delivery(21);
  EXPECT_EQ(relay.acts().sum.bells, bells + 3);
}

}  // namespace
}  // namespace allium::dataplane
