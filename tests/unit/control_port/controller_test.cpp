// SPDX-License-Identifier: Apache-2.0
#include "dataplane/control_port/controller.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include <gtest/gtest.h>

#include "tests/unit/control_port/fake_dataplane.hpp"

namespace allium::control_port {
namespace {

using test::FakeConnection;
using test::FakeDataplane;

constexpr int kPatienceMs = 5000;
constexpr int kShortMs = 30;

template <typename T>
Errc error_of(const Result<T>& result) {
  return result ? Errc{} : result.error().code;
}

SnapshotBegin begin_of(std::uint64_t serial, std::size_t peer_count) {
  SnapshotBegin begin;
  begin.serial = serial;
  begin.peer_count = static_cast<std::uint32_t>(peer_count);
  return begin;
}

TEST(SealedMemory, IsZeroHasItsSizeAndCannotChangeIt) {
  const auto memory = create_sealed_memory("allium-test", 8192);
  ASSERT_TRUE(memory) << memory.error().text;

  struct stat status {};

  ASSERT_EQ(fstat(*memory, &status), 0);
  EXPECT_EQ(status.st_size, 8192);
  EXPECT_NE(ftruncate(*memory, 4096), 0);
  EXPECT_NE(ftruncate(*memory, 16384), 0);
  EXPECT_NE(fcntl(*memory, F_GET_SEALS) & F_SEAL_SHRINK, 0);
  std::array<char, 8192> bytes{1};
  EXPECT_EQ(read(*memory, bytes.data(), bytes.size()), 8192);
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), 8192);
  close(*memory);
}

TEST(Controller, SaysThatNobodyListens) {
  EXPECT_EQ(error_of(Controller::connect("/tmp/allium-there-is-nothing.sock", kShortMs)),
            Errc::unavailable);
  EXPECT_EQ(error_of(Controller::connect(std::string(200, 'x'), kShortMs)), Errc::io);
}

TEST(Controller, GreetsAndReadsTheWelcome) {
  FakeDataplane dataplane([](FakeConnection& c) { c.greet(); });

  const auto controller = Controller::connect(dataplane.path(), kPatienceMs);

  ASSERT_TRUE(controller) << controller.error().text;
  EXPECT_EQ(controller->welcome().pid, 4711U);
  EXPECT_EQ(controller->welcome().device, "fake");
}

TEST(Controller, RefusesAnotherVersion) {
  FakeDataplane dataplane([](FakeConnection& c) {
    static_cast<void>(c.receive());
    Welcome welcome;
    welcome.version = kProtocolVersion + 1;
    c.send(welcome);
  });

  EXPECT_EQ(error_of(Controller::connect(dataplane.path(), kPatienceMs)), Errc::refused);
}

TEST(Controller, WaitsNoLongerThanItWasTold) {
  FakeDataplane dataplane([](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());  // the request, never answered
    static_cast<void>(c.receive());  // returns when the controller has gone
  });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);

  EXPECT_EQ(error_of(controller->counters(kShortMs)), Errc::timeout);
}

TEST(Controller, HandsOverBothMemories) {
  FakeDataplane dataplane([](FakeConnection& c) {
    c.greet();
    const auto message = c.receive();
    const auto* configure = message ? std::get_if<Configure>(&*message) : nullptr;
    struct stat replay {};
    struct stat handles {};
    const bool is_right = configure != nullptr && configure->replay_lines == 64 &&
                          c.descriptors.size() == 2 && fstat(c.descriptors[0], &replay) == 0 &&
                          fstat(c.descriptors[1], &handles) == 0 && replay.st_size == 8192 &&
                          handles.st_size == 4096;
    c.send(is_right ? Message(Accepted{0, 77}) : Message(Refused{0, "not what was sent"}));
  });
  const int replay = create_sealed_memory("allium-test-replay", 8192).value();
  const int handles = create_sealed_memory("allium-test-handles", 4096).value();
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);
  Configure configure;
  configure.replay_lines = 64;

  const auto accepted = controller->configure(configure, replay, handles, kPatienceMs);

  ASSERT_TRUE(accepted) << accepted.error().text;
  EXPECT_EQ(accepted->accepts_from_ms, 77U);
  close(replay);
  close(handles);
}

TEST(Controller, PublishesAFullNetworkInChunks) {
  std::size_t peers_seen = 0;
  std::size_t chunks_seen = 0;
  FakeDataplane dataplane([&](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    for (;;) {
      const auto message = c.receive();
      const auto* chunk = message ? std::get_if<SnapshotPeers>(&*message) : nullptr;
      if (chunk == nullptr) {
        break;  // the commit
      }
      for (const onion::PeerConfig& peer : chunk->peers) {
        peers_seen += peer.id == peers_seen ? 1U : 0U;
      }
      ++chunks_seen;
    }
    c.send(Accepted{9, 5});
    static_cast<void>(c.receive());
  });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);
  std::vector<onion::PeerConfig> peers(onion::kPeersMax);
  for (std::size_t i = 0; i < peers.size(); ++i) {
    peers[i].id = static_cast<std::uint32_t>(i);
    peers[i].links.resize(onion::kEpochsMax);
  }

  SnapshotBegin begin = begin_of(9, peers.size());
  const auto accepted = controller->publish(std::move(begin), std::move(peers), kPatienceMs);

  ASSERT_TRUE(accepted) << accepted.error().text;
  EXPECT_EQ(peers_seen, onion::kPeersMax);
  EXPECT_EQ(chunks_seen, onion::kPeersMax / kPeersPerChunkMax);
}

TEST(Controller, TellsTheDataplanesReasonAndGoesOn) {
  FakeDataplane dataplane([](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    static_cast<void>(c.receive());
    c.send(Refused{3, "two relays with one id"});
    static_cast<void>(c.receive());
    c.send(Counters{});
  });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);

  const auto refused = controller->publish(begin_of(3, 0), {}, kPatienceMs);

  ASSERT_EQ(error_of(refused), Errc::refused);
  EXPECT_NE(refused.error().text.find("two relays with one id"), std::string::npos);
  EXPECT_TRUE(controller->counters(kPatienceMs));
}

TEST(Controller, KeepsDeliveriesThatComeBeforeAnAnswer) {
  FakeDataplane dataplane([](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    Deliveries deliveries;
    deliveries.records.resize(2);
    for (DeliveryRecord& record : deliveries.records) {
      record.type = onion::PacketType::s0;
    }
    c.send(deliveries);
    Counters counters;
    counters.received = 12;
    c.send(counters);
    static_cast<void>(c.receive());
  });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);

  const auto counters = controller->counters(kPatienceMs);

  ASSERT_TRUE(counters);
  EXPECT_EQ(counters->received, 12U);
  EXPECT_EQ(controller->deliveries().size(), 2U);
}

TEST(Controller, KeepsNoMoreDeliveriesThanItsBound) {
  FakeDataplane dataplane([](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    Deliveries deliveries;
    deliveries.records.resize(kDeliveriesPerMessageMax);
    for (DeliveryRecord& record : deliveries.records) {
      record.type = onion::PacketType::s0;
    }
    for (std::size_t i = 0; i <= Controller::kDeliveriesMax / kDeliveriesPerMessageMax; ++i) {
      c.send(deliveries);
    }
    c.send(Counters{});
    static_cast<void>(c.receive());
  });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);

  ASSERT_TRUE(controller->counters(kPatienceMs));

  EXPECT_EQ(controller->deliveries().size(), Controller::kDeliveriesMax);
  EXPECT_EQ(controller->deliveries_lost(), kDeliveriesPerMessageMax);
}

TEST(Controller, CallsWhatIsOutOfOrderMalformed) {
  const std::array<std::uint8_t, 3> noise = {200, 1, 2};
  FakeDataplane wrong_answer([](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    c.send(Accepted{1, 1});
    static_cast<void>(c.receive());
  });
  FakeDataplane wrong_bytes([&](FakeConnection& c) {
    c.greet();
    static_cast<void>(c.receive());
    c.send_raw(noise);
    static_cast<void>(c.receive());
  });
  for (const FakeDataplane* dataplane : {&wrong_answer, &wrong_bytes}) {
    auto controller = Controller::connect(dataplane->path(), kPatienceMs);
    ASSERT_TRUE(controller);
    EXPECT_EQ(error_of(controller->counters(kPatienceMs)), Errc::malformed);
  }
}

TEST(Controller, SaysThatTheDataplaneHasGone) {
  FakeDataplane dataplane([](FakeConnection& c) { c.greet(); });
  auto controller = Controller::connect(dataplane.path(), kPatienceMs);
  ASSERT_TRUE(controller);

  EXPECT_EQ(error_of(controller->counters(kPatienceMs)), Errc::unavailable);
  EXPECT_EQ(error_of(controller->read_arrived()), Errc::unavailable);
}

}  // namespace
}  // namespace allium::control_port
