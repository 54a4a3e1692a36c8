// SPDX-License-Identifier: Apache-2.0
// One test of relays over every kind of network: rings in one process, and allium-dp processes over af_packet
// in namespaces, as root and not, with huge pages and without.

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "engine_namespaces.hpp"
#include "ring_world.hpp"
#include "test_client.hpp"

namespace allium::dataplane {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;
using onion::Verdict;

constexpr std::size_t kRelays = 4;
constexpr int kExitSkipped = 77;
constexpr std::uint64_t kHugePagesNeeded = 150;

std::vector<std::uint8_t> random_bytes(std::size_t byte_count) {
  std::vector<std::uint8_t> bytes(byte_count);
  system_random()(bytes);
  return bytes;
}

std::uint64_t free_huge_pages() {
  std::ifstream file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  std::uint64_t count = 0;
  file >> count;
  return count;
}

// Namespaces are for the whole process and a user namespace needs one thread, so a test of them is a child.
void in_child(const std::function<void()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    body();
    std::fflush(nullptr);
    _exit(testing::Test::IsSkipped() ? kExitSkipped
                                     : static_cast<int>(testing::Test::HasFailure()));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kExitSkipped) {
    GTEST_SKIP() << "this machine does not allow it";
  }
  EXPECT_EQ(status, 0);
}

std::vector<std::size_t> first_relays(std::size_t count) {
  std::vector<std::size_t> relays(count);
  for (std::size_t i = 0; i < count; ++i) {
    relays[i] = i;
  }
  return relays;
}

void expect_echoes(ClientNet& net, TestClient& client, const ClientPath& path,
                   PacketClass packet_class, std::uint64_t first_seq) {
  constexpr std::uint64_t kCount = 40;
  constexpr std::uint64_t kWindow = 10;
  const std::size_t block_bytes = onion::reply_block_bytes(packet_class);
  const std::size_t room = packet_class == PacketClass::d ? 1072 - block_bytes : 0;
  std::size_t answered = 0;
  for (std::uint64_t seq = 0; seq < kCount; seq += kWindow) {
    std::vector<std::vector<std::uint8_t>> texts;
    for (std::uint64_t i = 0; i < kWindow; ++i) {
      texts.push_back(random_bytes(room));
      const auto packet = client.echo(packet_class, path, first_seq + seq + i, texts.back());
      ASSERT_TRUE(net.send(path.relays.front(), packet.view()));
    }
    for (const Arrived& arrived : net.collect(kWindow)) {
      const auto packet = client.open(packet_class, path, arrived);
      ASSERT_TRUE(packet);
      ASSERT_LT(packet->seq - first_seq - seq, kWindow);
      const auto& text = texts[packet->seq - first_seq - seq];
      EXPECT_TRUE(std::equal(text.begin(), text.end(),
                             packet->data.begin() + static_cast<std::ptrdiff_t>(block_bytes)));
      ++answered;
    }
  }
  EXPECT_EQ(answered, kCount);
}

std::uint64_t replays(ClientNet& net, std::size_t relay) {
  return net.counters(relay).verdicts[static_cast<std::size_t>(Verdict::replay)];
}

void expect_paths_work(ClientNet& net) {
  TestClient client(net);
  onion::SetupPacket one_shot =
      client.setup(PacketType::s0, first_relays(4), Service::echo, random_bytes(800));
  ASSERT_TRUE(client.exchange(one_shot, 0));
  for (std::size_t hops = 1; hops <= 4; ++hops) {
    const auto path = client.open_path(first_relays(hops), Service::echo);
    ASSERT_TRUE(path) << hops;
    expect_echoes(net, client, *path, PacketClass::d, 0);
    if (hops <= 3) {
      expect_echoes(net, client, *path, PacketClass::v, 0);
    }
  }
}

void expect_crashes_lose_no_path(ClientNet& net) {
  TestClient client(net);
  const auto path = client.open_path({0, 1, 2}, Service::echo);
  ASSERT_TRUE(path);
  expect_echoes(net, client, *path, PacketClass::d, 0);
  const auto before = client.echo(PacketClass::d, *path, 100, random_bytes(100));
  ASSERT_TRUE(net.send(0, before.view()));
  ASSERT_EQ(net.collect(1).size(), 1U);

  net.crash(1);
  expect_echoes(net, client, *path, PacketClass::d, 200);
  net.crash(0);
  ASSERT_TRUE(net.send(0, before.view()));
  EXPECT_TRUE(net.collect(0).empty());
  EXPECT_EQ(replays(net, 0), 1U);
  expect_echoes(net, client, *path, PacketClass::d, 300);
}

void expect_balanced(ClientNet& net) {
  for (std::size_t relay = 0; relay < kRelays; ++relay) {
    const control_port::Counters counters = net.counters(relay);
    EXPECT_TRUE(is_balanced(counters)) << relay;
    EXPECT_EQ(counters.parked, 0U);
    EXPECT_GT(counters.received, 0U);
  }
}

void expect_everything(ClientNet& net) {
  expect_paths_work(net);
  expect_crashes_lose_no_path(net);
  expect_balanced(net);
}

TEST(RelaysOverRings, CarryPathsAndSurviveCrashes) {
  WorldOptions options;
  options.relay_count = kRelays;
  RingWorld world(options);
  expect_everything(world);
}

struct Place {
  const char* name;
  bool unprivileged;
  bool is_ipv6;
  std::vector<std::string> arguments;
  bool needs_huge_pages;
};

class RelaysOverAfPacket : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (GetParam().needs_huge_pages && free_huge_pages() < kHugePagesNeeded) {
      GTEST_SKIP() << "needs " << kHugePagesNeeded << " free huge pages of 2 MiB";
    }
  }

  static NamespaceOptions options() {
    NamespaceOptions options;
    options.relay_count = kRelays;
    options.is_ipv6 = GetParam().is_ipv6;
    options.more_arguments = GetParam().arguments;
    return options;
  }

  static void in_world(const std::function<void(NamespaceWorld&)>& body) {
    in_child([&] {
      if (!enter_namespaces(GetParam().unprivileged)) {
        GTEST_SKIP();
      }
      NamespaceWorld world(options());
      if (!testing::Test::HasFailure()) {
        body(world);
      }
    });
  }
};

TEST_P(RelaysOverAfPacket, CarryPathsAndSurviveCrashes) {
  in_world([](NamespaceWorld& world) { expect_everything(world); });
}

TEST_P(RelaysOverAfPacket, EndCleanlyAndSayWhatTheyDo) {
  in_world([](NamespaceWorld& world) {
    TestClient client(world);
    ASSERT_TRUE(client.open_path({0, 1}, Service::echo));
    const std::string talk = world.talk(0);
    for (const char* word : {"device", "kernels", "pages", "control", "accepts"}) {
      EXPECT_NE(talk.find(word), std::string::npos) << word << " is not in:\n" << talk;
    }
    EXPECT_EQ(world.stop(0), 0);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Places, RelaysOverAfPacket,
    testing::Values(Place{"SmallPages", false, false, {"--no-huge"}, false},
                    Place{"HugePages", false, false, {"--huge"}, true},
                    Place{"Ipv6", false, true, {"--no-huge"}, false},
                    Place{"TwoWorkers", false, false, {"--no-huge", "--workers", "2"}, false},
                    Place{"Unprivileged", true, false, {"--no-huge"}, false}),
    [](const auto& place) { return place.param.name; });

TEST(RelaysUnderGarbage, StillForwardValidPackets) {
  in_child([] {
    if (!enter_namespaces(false)) {
      GTEST_SKIP();
    }
    NamespaceOptions options;
    options.more_arguments = {"--no-huge"};
    NamespaceWorld world(options);
    TestClient client(world);
    const auto path = client.open_path({0, 1, 2}, Service::echo);
    ASSERT_TRUE(path);
    std::vector<std::vector<std::uint8_t>> garbage;
    for (int i = 0; i < 64; ++i) {
      garbage.push_back(random_bytes(256));
      garbage.back()[0] = 0x13;
    }
    const pid_t flood = fork();
    ASSERT_GE(flood, 0);
    if (flood == 0) {
      for (std::size_t i = 0;; ++i) {
        static_cast<void>(world.send(0, garbage[i % garbage.size()]));
      }
    }
    const auto refused = [&world] {
      const control_port::Counters counters = world.counters(0);
      return counters.verdicts[static_cast<std::size_t>(Verdict::fs_type)] +
             counters.verdicts[static_cast<std::size_t>(Verdict::slot)];
    };
    // A full queue may lose a valid packet; it is sent again under a new number until 100 came back.
    constexpr std::uint64_t kGarbageMin = 1000;
    std::uint64_t seq = 0;
    std::size_t answered = 0;
    for (; (answered < 100 || refused() < kGarbageMin) && seq < 20'000; ++seq) {
      ASSERT_TRUE(world.send(0, client.echo(PacketClass::d, *path, seq, {}).view()));
      for (const Arrived& arrived : world.collect(1)) {
        answered +=
            static_cast<std::size_t>(client.open(PacketClass::d, *path, arrived).has_value());
      }
    }
    kill(flood, SIGKILL);
    waitpid(flood, nullptr, 0);
    EXPECT_GE(answered, 100U);
    EXPECT_GE(refused(), kGarbageMin);
    static_cast<void>(world.collect(0));
    const control_port::Counters counters = world.counters(0);
    EXPECT_TRUE(is_balanced(counters));
    std::printf("%llu received, %llu forwarded, %llu sent by the client\n",
                static_cast<unsigned long long>(counters.received),
                static_cast<unsigned long long>(counters.forwarded),
                static_cast<unsigned long long>(seq));
  });
}

}  // namespace
}  // namespace allium::dataplane
