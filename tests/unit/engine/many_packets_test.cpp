// SPDX-License-Identifier: Apache-2.0
// Packets of every kind, good and bad, to one relay; ALLIUM_MANY_PACKETS of them [100000]. The label `slow` runs a
// million. After each burst the books balance to the packet, and what they say is what was sent.

#include <cstdlib>
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

std::uint64_t packet_count() {
  const char* wish = std::getenv("ALLIUM_MANY_PACKETS");
  return wish == nullptr ? 100'000 : std::strtoull(wish, nullptr, 10);
}

class ManyPackets : public testing::Test {
 protected:
  void SetUp() override {
    for (std::size_t hops = 1; hops <= 3; ++hops) {
      std::vector<std::size_t> relays;
      for (std::size_t i = 0; i < hops; ++i) {
        relays.push_back(i);
      }
      auto path = client_.open_path(relays, Service::echo);
      ASSERT_TRUE(path);
      paths_.push_back(std::move(*path));
    }
    // Link packets between relays are seen and sent again, whole and changed.
    world_.on_link = [this](std::size_t to_relay, FrameBytes& frame) {
      if (to_relay == 0 && links_.size() < 256) {
        links_.push_back(frame);
      }
      return true;
    };
  }

  std::vector<std::uint8_t> valid() {
    const ClientPath& path = paths_[below(paths_.size())];
    const bool is_small = below(2) == 0;
    const PacketClass packet_class = is_small ? PacketClass::v : PacketClass::d;
    switch (below(16)) {
      case 0: {
        const auto setup = client_.setup(below(2) == 0 ? PacketType::s0 : PacketType::s1, {0, 1},
                                         Service::echo, {});
        return {setup.datagram.view().begin(), setup.datagram.view().end()};
      }
      default: {
        const auto data = client_.echo(packet_class, path, next_seq_++, {});
        return {data.view().begin(), data.view().end()};
      }
    }
  }

  std::vector<std::uint8_t> random() {
    std::vector<std::uint8_t> bytes(below(4) == 0 ? below(1500) : below(2) == 0 ? 256 : 1232);
    system_random()(bytes);
    if (!bytes.empty() && below(2) == 0) {
      bytes[0] = static_cast<std::uint8_t>(0x10 | below(10));
    }
    return bytes;
  }

  std::vector<std::uint8_t> changed(std::vector<std::uint8_t> bytes) {
    for (std::size_t left = 1 + below(3); left > 0 && !bytes.empty(); --left) {
      bytes[below(bytes.size())] ^= static_cast<std::uint8_t>(1U << below(8));
    }
    return bytes;
  }

  std::vector<std::uint8_t> cut(std::vector<std::uint8_t> bytes) {
    bytes.resize(below(bytes.size() + 1));
    return bytes;
  }

  const std::vector<std::uint8_t>& again() { return kept_[below(kept_.size())]; }

  void keep(const std::vector<std::uint8_t>& bytes) {
    if (kept_.size() < 1024) {
      kept_.push_back(bytes);
    } else {
      kept_[below(kept_.size())] = bytes;
    }
  }

  std::vector<std::uint8_t> next() {
    switch (below(8)) {
      case 0:
        return random();
      case 1:
        return kept_.empty() ? random() : again();
      case 2:
        return kept_.empty() ? random() : changed(again());
      case 3:
        return kept_.empty() ? random() : cut(again());
      case 4:
        return changed(valid());
      default: {
        std::vector<std::uint8_t> bytes = valid();
        keep(bytes);
        return bytes;
      }
    }
  }

  std::size_t below(std::size_t bound) { return generator_() % bound; }

  static WorldOptions options() {
    WorldOptions options;
    options.frames_max = 2047;
    return options;
  }

  std::mt19937_64 generator_{20261125};
  RingWorld world_{options()};
  TestClient client_{world_};
  std::vector<ClientPath> paths_;
  std::vector<std::vector<std::uint8_t>> kept_;
  std::vector<FrameBytes> links_;
  std::uint64_t next_seq_ = 0;
};

TEST_F(ManyPackets, LeaveTheBooksBalancedToThePacket) {
  constexpr std::uint64_t kBatch = 500;
  const std::uint64_t count = packet_count();
  std::uint64_t put = world_.relay(0).counters().received;
  std::uint64_t from_links = 0;
  for (std::uint64_t done = 0; done < count; done += kBatch) {
    if (done % 20'000 == 0) {
      world_.advance_ms(1000);  // so that slots run out, and kept packets with them
    }
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      ASSERT_TRUE(world_.send(0, next()));
    }
    std::uint64_t again = 0;
    for (; again < 20 && !links_.empty(); ++again) {
      FrameBytes frame = links_[below(links_.size())];
      if (below(2) == 0) {
        frame[42 + below(frame.size() - 42)] ^= 1;
      }
      ASSERT_TRUE(world_.relay(0).device().put(0, frame));
    }
    std::uint64_t from_relays = 0;
    const auto see = std::move(world_.on_link);
    world_.on_link = [&](std::size_t to_relay, FrameBytes& frame) {
      from_relays += static_cast<std::uint64_t>(to_relay == 0);
      return see(to_relay, frame);
    };
    world_.settle();
    world_.on_link = see;
    put += kBatch + again + from_relays;
    from_links += from_relays;
    static_cast<void>(world_.take_arrived());
    const control_port::Counters counters = world_.relay(0).counters();
    ASSERT_EQ(counters.received, put);
    ASSERT_TRUE(is_balanced(counters));
    ASSERT_EQ(counters.parked, 0U);
  }
  world_.expect_balanced();
  EXPECT_GT(from_links, count / 8);
  for (const Verdict verdict :
       {Verdict::length, Verdict::version, Verdict::type, Verdict::ll_tag, Verdict::slot,
        Verdict::cookie, Verdict::fs_type, Verdict::header_mac, Verdict::replay}) {
    EXPECT_GT(world_.relay(0).drops(verdict), 0U) << onion::verdict_name(verdict);
  }
}

}  // namespace
}  // namespace allium::dataplane
