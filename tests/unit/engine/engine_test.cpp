// SPDX-License-Identifier: Apache-2.0
// Whole relays in one process: frames in, frames out, and the books.
#include "dataplane/engine/engine.hpp"

#include <algorithm>
#include <barrier>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "dataplane/onion/time_index.hpp"
#include "ring_world.hpp"
#include "test_client.hpp"

namespace allium::dataplane {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

const std::vector<std::size_t> kThreeHops = {0, 1, 2};

std::vector<std::uint8_t> random_bytes(std::size_t byte_count) {
  std::vector<std::uint8_t> bytes(byte_count);
  system_random()(bytes);
  return bytes;
}

bool begins_with(Bytes text, Bytes start) {
  return text.size() >= start.size() && std::equal(start.begin(), start.end(), text.begin());
}

struct Shape {
  const char* name;
  std::size_t workers;
  std::size_t burst_max;
  bool is_ipv6;
};

class EngineOverRings : public testing::TestWithParam<Shape> {
 protected:
  static WorldOptions options() {
    WorldOptions options;
    options.workers = GetParam().workers;
    options.burst_max = GetParam().burst_max;
    options.is_ipv6 = GetParam().is_ipv6;
    return options;
  }

  RingWorld world_{options()};
  TestClient client_{world_};
};

TEST_P(EngineOverRings, OpensAPathAndCountsEveryPacket) {
  ASSERT_TRUE(client_.open_path(kThreeHops, Service::echo));
  const auto entry = world_.relay(0).counters();
  EXPECT_EQ(entry.received, 3U);  // S1 without and with the cookie, R
  EXPECT_EQ(entry.forwarded, 2U);
  EXPECT_EQ(entry.challenges, 1U);
  EXPECT_EQ(entry.sent, 3U);
  EXPECT_EQ(world_.relay(0).drops(Verdict::cookie), 1U);
  const auto middle = world_.relay(1).counters();
  EXPECT_EQ(middle.received, 2U);
  EXPECT_EQ(middle.forwarded, 2U);
  const auto terminal = world_.relay(2).counters();
  EXPECT_EQ(terminal.received, 1U);
  EXPECT_EQ(terminal.delivered, 1U);
  EXPECT_EQ(terminal.answers, 1U);
  EXPECT_EQ(terminal.sent, 1U);
  world_.expect_balanced();
}

TEST_P(EngineOverRings, CarriesBothClassesThereAndBack) {
  const auto path = client_.open_path(kThreeHops, Service::echo);
  ASSERT_TRUE(path);
  constexpr std::uint64_t kCount = 200;
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    const std::size_t room = packet_class == PacketClass::d ? 1072 - 160 : 0;
    std::vector<std::vector<std::uint8_t>> texts;
    std::vector<bool> came_back(kCount);
    for (std::uint64_t seq = 0; seq < kCount; ++seq) {
      texts.push_back(random_bytes(room));
      const onion::Datagram datagram = client_.echo(packet_class, *path, seq, texts.back());
      ASSERT_TRUE(world_.send_to_queue(0, datagram.view(), seq % GetParam().workers));
    }
    world_.settle();
    for (const Arrived& arrived : world_.take_arrived()) {
      const auto packet = client_.open(packet_class, *path, arrived);
      ASSERT_TRUE(packet);
      ASSERT_LT(packet->seq, kCount);
      EXPECT_FALSE(came_back[packet->seq]);
      came_back[packet->seq] = true;
      EXPECT_TRUE(begins_with(packet->view().subspan(onion::reply_block_bytes(packet_class)),
                              texts[packet->seq]));
    }
    EXPECT_EQ(std::count(came_back.begin(), came_back.end(), true), kCount);
  }
  EXPECT_EQ(world_.relay(0).counters().forwarded, 2 + 4 * kCount);
  EXPECT_EQ(world_.relay(2).counters().answers, 1 + 2 * kCount);
  world_.expect_balanced();
}

TEST_P(EngineOverRings, AOneShotIsAnsweredWithoutAPath) {
  const std::vector<std::uint8_t> question = random_bytes(800);
  onion::SetupPacket packet = client_.setup(PacketType::s0, kThreeHops, Service::echo, question);
  const auto answer = client_.exchange(packet, 0);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->seq, 0U);
  EXPECT_TRUE(begins_with(answer->view(), question));
  world_.expect_balanced();
}

TEST_P(EngineOverRings, WorkersShareOneReplaySet) {
  const auto path = client_.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  constexpr std::uint64_t kCount = 64;
  const std::uint64_t delivered = world_.relay(2).counters().delivered;
  for (std::uint64_t seq = 0; seq < kCount; ++seq) {
    const onion::Datagram datagram = client_.data(PacketClass::d, *path, seq, {});
    for (std::size_t queue = 0; queue < 3; ++queue) {
      ASSERT_TRUE(world_.send_to_queue(0, datagram.view(), queue % GetParam().workers));
    }
  }
  world_.settle();
  EXPECT_EQ(world_.relay(0).drops(Verdict::replay), 2 * kCount);
  EXPECT_EQ(world_.relay(2).counters().delivered - delivered, kCount);
  world_.expect_balanced();
}

TEST_P(EngineOverRings, GarbageDoesNotKeepValidPacketsOut) {
  const auto path = client_.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  std::mt19937 generator(5);
  constexpr std::uint64_t kValid = 100;
  std::uint64_t garbage = 0;
  for (std::uint64_t seq = 0; seq < kValid; ++seq) {
    ASSERT_TRUE(world_.send(0, client_.data(PacketClass::v, *path, seq, {}).view()));
    for (int i = 0; i < 20; ++i, ++garbage) {
      constexpr std::array<std::size_t, 5> kSizes = {0, 1, 32, 256, 1232};
      std::vector<std::uint8_t> bytes = random_bytes(kSizes[generator() % kSizes.size()]);
      if (!bytes.empty() && generator() % 2 == 0) {
        bytes[0] = static_cast<std::uint8_t>(0x10 | generator() % 9);
      }
      ASSERT_TRUE(world_.send_to_queue(0, bytes, generator() % GetParam().workers));
    }
    if (seq % 10 == 0) {
      world_.settle();
    }
  }
  world_.settle();
  EXPECT_EQ(world_.relay(2).counters().delivered, 1 + kValid);
  EXPECT_EQ(world_.relay(0).counters().received, 3 + kValid + garbage);
  world_.expect_balanced();
}

INSTANTIATE_TEST_SUITE_P(Shapes, EngineOverRings,
                         testing::Values(Shape{"OneWorker", 1, 32, false},
                                         Shape{"ThreeWorkers", 3, 32, false},
                                         Shape{"OneByOne", 1, 1, false},
                                         Shape{"BurstsOfSeven", 2, 7, false},
                                         Shape{"Ipv6", 1, 32, true}),
                         [](const auto& shape) { return shape.param.name; });

// ---- what is not a relay's ----

TEST(Engine, FramesForOthersAreNotReceived) {
  RingWorld world;
  RingRelay& relay = world.relay(0);
  FrameBytes frame = make_frame({{2, 0, 0, 0, 1, 0}, relay.mac(), world.client(), relay.endpoint()},
                                random_bytes(256));
  FrameBytes other_mac = frame;
  other_mac[0] = 6;
  FrameBytes other_port = frame;
  other_port[14 + 20 + 3] ^= 1;
  FrameBytes other_address = frame;
  other_address[14 + 19] ^= 1;
  for (const FrameBytes& one : {frame, other_mac, other_port, other_address, FrameBytes(10)}) {
    ASSERT_TRUE(relay.device().put(0, one));
  }
  world.settle();
  EXPECT_EQ(relay.counters().received, 1U);
  EXPECT_EQ(relay.counters().not_onion, 4U);
  world.expect_balanced();
}

// ---- delays ----

TEST(Engine, ADelayedPacketIsParkedAndGoesOnInTime) {
  RingWorld world;
  TestClient client(world);
  onion::SetupPacket first = client.setup(PacketType::s0, kThreeHops, Service::echo, {});
  ASSERT_TRUE(client.exchange(first, 0));
  onion::SetupPacket slow = client.setup(PacketType::s0, kThreeHops, Service::echo, {}, 25);
  ASSERT_TRUE(world.send(0, slow.datagram.view()));
  world.settle();
  EXPECT_EQ(world.relay(0).counters().parked, 1U);
  EXPECT_TRUE(is_balanced(world.relay(0).counters()));
  world.advance_ms(249);
  world.settle();
  EXPECT_EQ(world.relay(0).counters().parked, 1U);
  world.advance_ms(1);
  world.settle();
  EXPECT_EQ(world.relay(0).counters().parked, 0U);
  EXPECT_EQ(world.relay(1).counters().parked, 1U);
  world.advance_ms(250);
  world.settle();
  const auto arrived = world.take_arrived();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_TRUE(client.open_return(slow, arrived[0]));
  world.expect_balanced();
}

TEST(Engine, BeyondItsRoomForDelaysItDrops) {
  WorldOptions options;
  options.parked_max = 4;
  RingWorld world(options);
  TestClient client(world);
  onion::SetupPacket first = client.setup(PacketType::s0, kThreeHops, Service::echo, {});
  ASSERT_TRUE(client.exchange(first, 0));
  for (int i = 0; i < 10; ++i) {
    const auto packet = client.setup(PacketType::s0, kThreeHops, Service::echo, {}, 25);
    ASSERT_TRUE(world.send(0, packet.datagram.view()));
  }
  world.settle();
  EXPECT_EQ(world.relay(0).counters().parked, 4U);
  EXPECT_EQ(world.relay(0).drops(Verdict::rate), 6U);
  EXPECT_TRUE(is_balanced(world.relay(0).counters()));
}

// ---- restarts ----

TEST(Engine, ARestartWithItsMemoryKeepsPathsAndRefusesReplays) {
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::echo);
  ASSERT_TRUE(path);
  const onion::Datagram before = client.echo(PacketClass::d, *path, 1, random_bytes(100));
  ASSERT_TRUE(world.send(0, before.view()));
  world.settle();
  ASSERT_EQ(world.take_arrived().size(), 1U);

  world.relay(0).restart();
  world.publish_all();
  world.publish_neighbours();
  ASSERT_TRUE(world.send(0, before.view()));
  world.settle();
  EXPECT_EQ(world.relay(0).drops(Verdict::replay), 1U);
  EXPECT_TRUE(world.take_arrived().empty());

  const onion::Datagram after = client.echo(PacketClass::d, *path, 2, random_bytes(100));
  ASSERT_TRUE(world.send(0, after.view()));
  world.settle();
  const auto arrived = world.take_arrived();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_TRUE(client.open(PacketClass::d, *path, arrived[0]));
  world.expect_balanced();
}

TEST(Engine, ARestartWithNewMemoryStaysClosedUpToItsFloor) {
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  const onion::Datagram before = client.data(PacketClass::d, *path, 1, {});
  ASSERT_TRUE(world.send(0, before.view()));
  world.settle();

  world.relay(0).restart_with_new_memory(onion::slot_of(world.now_ms()) + 2);
  world.publish_all();
  world.publish_neighbours();
  ASSERT_TRUE(world.send(0, before.view()));
  ASSERT_TRUE(world.send(0, client.data(PacketClass::d, *path, 2, {}).view()));
  world.settle();
  EXPECT_EQ(world.relay(0).drops(Verdict::slot), 2U);

  world.advance_ms(16'000);
  ASSERT_TRUE(world.send(0, client.data(PacketClass::d, *path, 3, {}).view()));
  world.settle();
  EXPECT_EQ(world.relay(0).counters().forwarded, 1U);
  world.expect_balanced();
}

TEST(Engine, AFrameOfTheLinkBeforeACrashIsRefusedAfterIt) {
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  std::vector<FrameBytes> captured;
  world.on_link = [&](std::size_t to_relay, FrameBytes& frame) {
    if (to_relay == 1) {
      captured.push_back(frame);
    }
    return true;
  };
  ASSERT_TRUE(world.send(0, client.data(PacketClass::v, *path, 1, {}).view()));
  world.settle();
  ASSERT_EQ(captured.size(), 1U);
  world.relay(1).restart();
  world.publish_all();
  world.publish_neighbours();
  ASSERT_TRUE(world.relay(1).device().put(0, captured[0]));
  world.settle();
  EXPECT_EQ(world.relay(1).drops(Verdict::replay), 1U);
  world.expect_balanced();
}

// ---- neighbours ----

TEST(Engine, PacketsWaitForAnUnknownNeighbour) {
  WorldOptions options;
  options.knows_neighbours = false;
  RingWorld world(options);
  TestClient client(world);
  onion::SetupPacket packet = client.setup(PacketType::s0, kThreeHops, Service::echo, {});
  ASSERT_TRUE(world.send(0, packet.datagram.view()));
  world.settle();
  EXPECT_TRUE(world.take_arrived().empty());
  EXPECT_EQ(world.relay(0).counters().parked, 1U);
  EXPECT_TRUE(is_balanced(world.relay(0).counters()));
  const auto wanted = world.relay(0).engine().take_unresolved(10);
  ASSERT_EQ(wanted.size(), 1U);
  EXPECT_EQ(wanted[0], world.client().address);

  world.publish_neighbours();
  world.settle();
  const auto arrived = world.take_arrived();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(onion::read_backward_envelope(arrived[0].datagram)->type, PacketType::c);
  EXPECT_EQ(world.relay(0).counters().challenges, 1U);
  world.expect_balanced();
}

TEST(Engine, ANeighbourThatNeverComesIsNoRoute) {
  WorldOptions options;
  options.unresolved_max = 4;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  world.relay(0).publish_neighbours({});
  for (std::uint64_t seq = 0; seq < 6; ++seq) {
    ASSERT_TRUE(world.send(0, client.data(PacketClass::d, *path, seq, {}).view()));
  }
  world.settle();
  EXPECT_EQ(world.relay(0).counters().parked, 4U);
  EXPECT_EQ(world.relay(0).drops(Verdict::tx_full), 2U);
  EXPECT_TRUE(is_balanced(world.relay(0).counters()));
  world.advance_ms(3000);
  world.settle();
  EXPECT_EQ(world.relay(0).drops(Verdict::no_route), 4U);
  world.expect_balanced();
}

// ---- what does not get out ----

TEST(Engine, WhatTheDeviceDoesNotTakeIsTxFull) {
  WorldOptions options;
  options.frames_max = 64;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  const auto before = world.relay(0).counters();
  for (std::uint64_t seq = 0; seq < 100; ++seq) {
    ASSERT_TRUE(world.send(0, client.data(PacketClass::v, *path, seq, {}).view()));
    if (seq % 20 == 19) {
      while (world.relay(0).poll() > 0) {
      }
    }
  }
  const auto after = world.relay(0).counters();
  EXPECT_EQ(after.forwarded - before.forwarded, 64U);
  EXPECT_EQ(after.sent - before.sent, 64U);
  EXPECT_EQ(world.relay(0).drops(Verdict::tx_full), 36U);
  EXPECT_TRUE(is_balanced(after));
}

TEST(Engine, AnEndedSequenceRangeIsTxFull) {
  WorldOptions options;
  options.sequence_count = 3;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  for (std::uint64_t seq = 0; seq < 5; ++seq) {
    ASSERT_TRUE(world.send(0, client.data(PacketClass::d, *path, seq, {}).view()));
  }
  world.settle();
  EXPECT_EQ(world.relay(0).drops(Verdict::tx_full), 3U);  // one number went to the S1
  world.expect_balanced();
}

// ---- services ----

TEST(Engine, HandsRequestsToTheControllerAndSendsItsAnswers) {
  RingWorld world;
  TestClient client(world);
  const std::vector<std::uint8_t> question = random_bytes(300);
  onion::SetupPacket packet = client.setup(PacketType::s0, kThreeHops, Service::storage, question);
  EXPECT_FALSE(client.exchange(packet, 0));  // STORAGE does not answer by itself
  Engine& terminal = world.relay(2).engine();
  const auto deliveries = terminal.take_deliveries(10);
  ASSERT_EQ(deliveries.records.size(), 1U);
  EXPECT_EQ(deliveries.records[0].type, PacketType::s0);
  EXPECT_TRUE(begins_with(deliveries.records[0].data, question));
  EXPECT_EQ(deliveries.records[0].sealed_context.size(), 48U + 2 * 48U);

  const std::vector<std::uint8_t> text = random_bytes(1056);
  for (const std::uint64_t seq : {std::uint64_t{0}, std::uint64_t{1}}) {
    ASSERT_TRUE(
        terminal.reply(control_port::ReturnReply{deliveries.records[0].sealed_context, seq, text}));
  }
  world.settle();
  const auto arrived = world.take_arrived();
  ASSERT_EQ(arrived.size(), 2U);
  std::vector<std::uint64_t> numbers;  // two of one burst: in any order
  for (const Arrived& one : arrived) {
    const auto answer = client.open_return(packet, one);
    ASSERT_TRUE(answer);
    numbers.push_back(answer->seq);
    EXPECT_TRUE(begins_with(answer->view(), text));
  }
  EXPECT_EQ(numbers[0] + numbers[1], 1U);
  EXPECT_EQ(world.relay(2).counters().answers, 2U);
  EXPECT_EQ(world.relay(2).counters().delivered, 1U);
  world.expect_balanced();
}

TEST(Engine, AChangedReturnContextSendsNothing) {
  RingWorld world;
  TestClient client(world);
  onion::SetupPacket packet = client.setup(PacketType::s0, kThreeHops, Service::storage, {});
  EXPECT_FALSE(client.exchange(packet, 0));
  Engine& terminal = world.relay(2).engine();
  const auto deliveries = terminal.take_deliveries(10);
  ASSERT_EQ(deliveries.records.size(), 1U);
  const std::vector<std::uint8_t>& genuine = deliveries.records[0].sealed_context;
  for (std::size_t at = 0; at < genuine.size(); ++at) {
    std::vector<std::uint8_t> changed = genuine;
    changed[at] ^= 0x08;
    ASSERT_TRUE(terminal.reply(control_port::ReturnReply{changed, 0, {}}));
    world.settle();
  }
  for (std::size_t byte_count = 0; byte_count < genuine.size(); ++byte_count) {
    const std::vector<std::uint8_t> cut(genuine.begin(),
                                        genuine.begin() + static_cast<std::ptrdiff_t>(byte_count));
    ASSERT_TRUE(terminal.reply(control_port::ReturnReply{cut, 0, {}}));
    world.settle();
  }
  EXPECT_TRUE(world.take_arrived().empty());
  EXPECT_EQ(world.relay(2).counters().answers, 0U);
  EXPECT_EQ(world.relay(2).counters().sent, 0U);
  world.expect_balanced();
}

TEST(Engine, AnswersOfServicesGoOverReplyBlocks) {
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::storage);
  ASSERT_TRUE(path);
  Engine& terminal = world.relay(2).engine();
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    const onion::ReplyBlock block = client.reply_block(packet_class, *path);
    control_port::BlockReply reply;
    reply.packet_class = packet_class;
    reply.reply_block.assign(block.view().begin(), block.view().end());
    reply.seq = 7;
    reply.data = random_bytes(packet_class == PacketClass::d ? 1072 : 128);
    ASSERT_TRUE(terminal.reply(reply));
    world.settle();
    const auto arrived = world.take_arrived();
    ASSERT_EQ(arrived.size(), 1U);
    const auto packet = client.open(packet_class, *path, arrived[0]);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->seq, 7U);
    EXPECT_TRUE(begins_with(packet->view(), reply.data));
  }
  world.expect_balanced();
}

TEST(Engine, DeliveriesBeyondTheirRoomAreRate) {
  WorldOptions options;
  options.deliveries_max = 8;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  onion::SetupPacket first = client.setup(PacketType::s0, kThreeHops, Service::storage, {});
  EXPECT_FALSE(client.exchange(first, 0));
  for (int i = 0; i < 10; ++i) {
    const auto packet = client.setup(PacketType::s0, kThreeHops, Service::storage, {});
    ASSERT_TRUE(world.send(0, packet.datagram.view()));
  }
  world.settle();
  const auto deliveries = world.relay(2).engine().take_deliveries(100);
  const std::uint64_t dropped = world.relay(2).drops(Verdict::rate);
  EXPECT_EQ(deliveries.records.size(), 8U);
  EXPECT_EQ(dropped, 3U);
  EXPECT_EQ(deliveries.lost, dropped);
  world.expect_balanced();
}

// ---- snapshots and threads ----

TEST(Engine, TakesANewSnapshotBetweenTwoPackets) {
  RingWorld world;
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::echo);
  ASSERT_TRUE(path);
  for (std::uint64_t seq = 0; seq < 20; ++seq) {
    if (seq % 4 == 0) {
      world.publish_all();
    }
    ASSERT_TRUE(world.send(0, client.echo(PacketClass::d, *path, seq, {}).view()));
    world.settle();
  }
  EXPECT_EQ(world.take_arrived().size(), 20U);
  world.expect_balanced();
}

TEST(Engine, RefusesASnapshotThatIsShortOfPeers) {
  RingWorld world;
  control_port::SnapshotBegin begin;
  begin.peer_count = 3;
  const auto published = world.relay(0).engine().publish(begin, {});
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().code, Errc::malformed);
}

TEST(Engine, IsConfiguredOnce) {
  RingWorld world;
  KeptMemory memory(64);
  const auto again = world.relay(0).engine().configure({}, {memory.bytes(), memory.bytes()});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::refused);
}

// Both workers meet the same packets in the same order at the same time: what one of them tests without a locked instruction lets the
// other through too.
TEST(Engine, OfTwinsAtTwoWorkersOneGoesOn) {
  WorldOptions options;
  options.workers = 2;
  options.frames_max = 4095;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  constexpr std::uint64_t kCount = 1000;
  constexpr std::uint64_t kRounds = 20;
  Engine& engine = world.relay(0).engine();
  const control_port::Counters before = engine.counters();
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::uint64_t seq = 0; seq < kCount; ++seq) {
      const onion::Datagram datagram = client.data(PacketClass::v, *path, round * kCount + seq, {});
      ASSERT_TRUE(world.send_to_queue(0, datagram.view(), 0));
      ASSERT_TRUE(world.send_to_queue(0, datagram.view(), 1));
    }
    std::barrier at_once(2);
    const auto run = [&](std::size_t worker) {
      at_once.arrive_and_wait();
      for (std::uint64_t received = 0; received < kCount;) {
        received += engine.poll_once(worker);
      }
    };
    std::thread other(run, 1);
    run(0);
    other.join();
    for (std::size_t queue = 0; queue < 2; ++queue) {
      while (world.relay(0).device().take(queue)) {
      }
    }
  }
  EXPECT_EQ(engine.counters().forwarded - before.forwarded, kRounds * kCount);
  EXPECT_EQ(world.relay(0).drops(Verdict::replay), kRounds * kCount);
  world.expect_balanced();
}

TEST(Engine, BooksBalanceWhileWorkersRunAndSnapshotsChange) {
  WorldOptions options;
  options.workers = 2;
  options.relay_count = 3;
  options.frames_max = 4095;
  RingWorld world(options);
  TestClient client(world);
  const auto path = client.open_path(kThreeHops, Service::drop);
  ASSERT_TRUE(path);
  constexpr std::uint64_t kCount = 2000;
  std::vector<onion::Datagram> datagrams;
  for (std::uint64_t seq = 0; seq < kCount; ++seq) {
    datagrams.push_back(client.data(PacketClass::v, *path, seq, {}));
  }
  const std::uint64_t received = world.relay(0).counters().received;
  Engine& engine = world.relay(0).engine();
  engine.start();
  std::uint64_t sent = 0;
  std::uint64_t forwarded_on = 0;
  for (const onion::Datagram& datagram : datagrams) {
    for (std::size_t queue = 0; queue < 2; ++queue) {
      while (!world.send_to_queue(0, datagram.view(), queue)) {
        std::this_thread::yield();
      }
      ++sent;
    }
    if (sent % 400 == 0) {
      world.publish_all();
    }
    ASSERT_TRUE(is_balanced(engine.counters()));
    for (std::size_t queue = 0; queue < 2; ++queue) {
      while (world.relay(0).device().take(queue)) {
        ++forwarded_on;
      }
    }
  }
  while (engine.counters().received - received < sent) {
    ASSERT_TRUE(is_balanced(engine.counters()));
    std::this_thread::yield();
  }
  engine.stop();
  for (std::size_t queue = 0; queue < 2; ++queue) {
    while (world.relay(0).device().take(queue)) {
      ++forwarded_on;
    }
  }
  EXPECT_EQ(forwarded_on, kCount);
  EXPECT_EQ(world.relay(0).drops(Verdict::replay), kCount);
  world.expect_balanced();
}

}  // namespace
}  // namespace allium::dataplane
