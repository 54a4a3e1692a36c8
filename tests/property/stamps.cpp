// SPDX-License-Identifier: Apache-2.0

#include "dataplane/onion/backward_open.hpp"
#include "dataplane/onion/time_index.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

constexpr std::uint64_t kSkewMaxMs = 2000;   // of relays, section 3
constexpr std::uint64_t kPhaseMaxMs = 1500;  // of paths

std::int64_t within(SeededRandom& random, std::uint64_t bound) {
  return static_cast<std::int64_t>(random.below(2 * bound + 1)) - static_cast<std::int64_t>(bound);
}

/// Every step's slot on the way: forward that of the client, backward that of the node's own clock.
void check_steps(Report& report, World& world, const Journey& journey) {
  for (const Step& step : journey.steps) {
    if (step.out.outgoing == onion::Outgoing::none) {
      continue;
    }
    const bool is_forward = info_of(step.out.datagram).direction == onion::Direction::forward;
    const std::uint64_t own = onion::slot_of(world.relay(step.relay).clock_ms(world.now_ms));
    const std::uint8_t expected =
        is_forward ? step.in[onion::kSlotOffset] : static_cast<std::uint8_t>(own);
    report.expect(step.out.datagram[onion::kSlotOffset] == expected,
                  is_forward ? "a relay rewrites the slot forward"
                             : "a node sends a stamp that is not its own");
  }
}

void round_trip(Report& report, World& world, PacketClass packet_class, std::size_t length) {
  std::vector<std::size_t> relays;
  for (std::size_t i = 0; i < length; ++i) {
    relays.push_back(i);
  }
  const std::int64_t phase_ms = within(world.random, kPhaseMaxMs);
  const std::uint64_t true_ms = world.now_ms;
  const std::uint64_t client_ms = true_ms + static_cast<std::uint64_t>(phase_ms);
  world.now_ms = client_ms;
  ClientPath path;
  onion::SetupPacket setup;
  Buffer request;
  std::vector<const Secret<16>*> secrets;
  if (packet_class == PacketClass::r) {
    setup = world.setup_packet(relays, PacketType::s0, Service::echo);
    const Bytes view = setup.datagram.view();
    request.assign(view.begin(), view.end());
    secrets = World::secrets_of(setup);
  } else {
    path = world.make_path(relays, Service::echo);
    request = world.echo_packet(path, packet_class, 3);
    secrets = World::secrets_of(path);
  }
  world.now_ms = true_ms;
  const Journey journey = world.travel(kClient, 0, request);
  check_steps(report, world, journey);
  report.expect(journey.at_client.has_value(), "a packet is lost to clocks within two seconds");
  if (journey.at_client) {
    report.expect(
        onion::open_backward(packet_class, client_ms, secrets, *journey.at_client).has_value(),
        "an answer does not open with clocks within two seconds");
  }
}

}  // namespace

Report stamps(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  const std::uint64_t start_ms = world.now_ms;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t relay = 0; relay < world.relay_count(); ++relay) {
      world.relay(relay).skew_ms = within(world.random, kSkewMaxMs);
      world.relay(relay).forget();
    }
    world.now_ms = start_ms + world.random.below(100'000);
    const PacketClass packet_class =
        std::array{PacketClass::d, PacketClass::v, PacketClass::r}[round % 3];
    const std::size_t hops_max = packet_class == PacketClass::v ? 3 : 4;
    round_trip(report, world, packet_class, 1 + round / 3 % hops_max);
  }
  return report;
}

}  // namespace allium::property
