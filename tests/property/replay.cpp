// SPDX-License-Identifier: Apache-2.0

#include <algorithm>

#include "dataplane/onion/time_index.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

/// Notes what arrives at the relay under test, once in each direction.
class Catcher {
 public:
  explicit Catcher(World& world) : world_(world) {}

  [[nodiscard]] Watch watch() {
    return [this](std::size_t from, std::size_t to, Buffer& datagram) {
      if (to == kRelayUnderTest) {
        const onion::Endpoint source =
            from == kClient ? world_.client : world_.relay(from).endpoint();
        captures.push_back({from, to, source, datagram});
      }
    };
  }

  std::vector<Capture> captures;

 private:
  World& world_;
};

void capture_data(World& world, const std::vector<std::size_t>& relays, std::uint64_t seq,
                  Catcher& catcher) {
  const ClientPath path = world.make_path(relays, Service::echo);
  for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
    world.travel(kClient, relays.front(), world.echo_packet(path, packet_class, seq),
                 catcher.watch());
  }
}

void capture_setups(World& world, const std::vector<std::size_t>& relays, Catcher& catcher) {
  for (const PacketType type : {PacketType::s0, PacketType::s1}) {
    const onion::SetupPacket setup = world.setup_packet(relays, type, Service::echo);
    const Bytes view = setup.datagram.view();
    world.travel(kClient, relays.front(), Buffer(view.begin(), view.end()), catcher.watch());
  }
}

/// Every type as it arrives at the relay under test: from a client, from the relay before, from behind.
std::vector<Capture> capture_all(World& world, std::uint64_t seq) {
  Catcher catcher(world);
  for (const auto& relays : {std::vector<std::size_t>{kRelayUnderTest, 2},
                             std::vector<std::size_t>{0, kRelayUnderTest, 2}}) {
    capture_data(world, relays, seq, catcher);
    capture_setups(world, relays, catcher);
  }
  return catcher.captures;
}

constexpr std::size_t kCapturesPerRound = 16;  // 8 packets, each of them out and back

/// The same keys without the flaw and without a past: where captures are made, so that the relay under test has seen
/// none of them.
WorldOptions elsewhere(WorldOptions options) {
  options.flaw = Flaw::none;
  return options;
}

Outcome present(World& world, const Capture& capture, std::size_t worker = 0) {
  return world.relay(capture.to).run(worker, capture.source, capture.datagram, world.now_ms);
}

std::size_t accepted_of_twins(World& world, const Capture& capture) {
  std::array<std::array<std::uint8_t, onion::kDatagramBytesMax>, 2> room{};
  onion::Burst burst;
  burst.count = room.size();
  for (std::size_t lane = 0; lane < burst.count; ++lane) {
    std::copy(capture.datagram.begin(), capture.datagram.end(), room[lane].begin());
    burst.data[lane] = room[lane].data();
    burst.bytes[lane] = static_cast<std::uint16_t>(capture.datagram.size());
    burst.source[lane] = capture.source;
  }
  world.relay(capture.to).run_burst(0, burst, world.now_ms);
  return static_cast<std::size_t>(!onion::is_drop(burst.verdict[0])) +
         static_cast<std::size_t>(!onion::is_drop(burst.verdict[1]));
}

std::string name_of(const Capture& capture) {
  return std::string(info_of(capture.datagram).name) +
         (capture.from == kClient ? " from a client" : " from a relay");
}

/// Shows every capture again, in the world as it is now; counts those that are taken.
void expect_refused(Report& report, World& world, const std::vector<Capture>& captures,
                    std::size_t worker) {
  for (const Capture& capture : captures) {
    report.expect(!present(world, capture, worker).accepted(),
                  name_of(capture) + " is taken a second time");
  }
}

void step_clock(Report& report, World& world, const std::vector<Capture>& captures) {
  const std::uint64_t start_ms = world.now_ms;
  for (const int seconds : {7, -7, 1, 30, 0, -30, 9, 60, -16, 0, 120, 4, 0}) {
    world.now_ms = start_ms + static_cast<std::uint64_t>(seconds * 1000);
    expect_refused(report, world, captures, 0);
  }
  world.now_ms = start_ms;
}

}  // namespace

Report replays(const WorldOptions& options, Between between, std::size_t rounds) {
  Report report;
  for (std::size_t round = 0; round < rounds; ++round) {
    WorldOptions turn = options;
    turn.seed += round;
    turn.worker_count = 2;
    if (between == Between::epoch_change) {
      turn.now_ms = kEpochStartMs + 597'000;
    }
    World recorder(elsewhere(turn));
    const std::vector<Capture> captures = capture_all(recorder, 1);
    const std::vector<Capture> others = capture_all(recorder, 2);
    World world(turn);
    if (!report.need(captures.size() == kCapturesPerRound && others.size() == kCapturesPerRound,
                     "every type is captured")) {
      return report;
    }
    if (between == Between::same_burst) {
      for (const Capture& capture : captures) {
        report.expect(accepted_of_twins(world, capture) == 1,
                      name_of(capture) + " is taken twice in a burst, or not at all");
      }
      continue;
    }
    for (const Capture& capture : captures) {
      report.need(present(world, capture).accepted(), name_of(capture) + " is taken at first");
    }
    std::size_t worker = 0;
    switch (between) {
      case Between::other_worker:
        worker = 1;
        break;
      case Between::epoch_change:
        world.now_ms += 5'000;
        break;
      case Between::crash:
        world.relay(kRelayUnderTest).crash();
        break;
      case Between::clock_steps:
        step_clock(report, world, captures);
        continue;
      default:
        break;
    }
    expect_refused(report, world, captures, worker);
    // The door is open: packets of the same time that were not seen yet go through.
    for (const Capture& capture : others) {
      report.need(present(world, capture, worker).accepted(),
                  name_of(capture) + " is still taken in the end");
    }
  }
  return report;
}

Report one_capture_one_use(const WorldOptions& options, std::size_t copies) {
  Report report;
  World recorder(elsewhere(options));
  const std::vector<Capture> captures = capture_all(recorder, 1);
  World world(options);
  report.need(captures.size() == kCapturesPerRound, "every type is captured");
  for (const Capture& capture : captures) {
    const onion::TypeInfo& info = info_of(capture.datagram);
    std::size_t taken = 0;
    for (std::size_t copy = 0; copy < copies; ++copy) {
      Capture changed = capture;
      if (copy != copies / 2) {  // the true one comes in the middle
        changed.datagram[info.x_r_offset + world.random.below(info.x_r_bytes)] ^=
            static_cast<std::uint8_t>(1 + world.random.below(255));
      }
      taken += present(world, changed, copy % options.worker_count).accepted() ? 1U : 0U;
    }
    report.need(taken >= 1, name_of(capture) + " is taken once");
    report.expect(taken <= 1, name_of(capture) + " is good for " + std::to_string(taken));
  }
  return report;
}

}  // namespace allium::property
