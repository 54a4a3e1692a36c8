// SPDX-License-Identifier: Apache-2.0

#include "tests/property/byte_windows.hpp"
#include "tests/property/properties.hpp"

namespace allium::property {
namespace {

using onion::PacketClass;
using onion::PacketType;
using onion::Service;

/// A packet before and behind the relay under test, without the links' veils: what the peers see.
struct Crossing {
  PacketType type{};
  Buffer before;
  Buffer behind;
};

std::vector<Crossing> crossings(World& world, const Journey& journey) {
  std::vector<Crossing> found;
  for (const Step& step : journey.steps) {
    if (step.relay != kRelayUnderTest || step.out.outgoing != onion::Outgoing::forward) {
      continue;
    }
    Crossing& crossing = found.emplace_back();
    crossing.type = type_of(step.in);
    crossing.before = step.in;
    crossing.behind = step.out.datagram;
    world.lift(step.from, kRelayUnderTest, crossing.before);
    world.lift(kRelayUnderTest, world.index_of(step.out.target.endpoint), crossing.behind);
  }
  return found;
}

Bytes behind_link_header(const Buffer& datagram) {
  return Bytes(datagram).subspan(onion::kLinkHeaderBytes);
}

Buffer difference(const Buffer& left, const Buffer& right) {
  Buffer result = left;
  xor_into(result.data(), right.data(), std::min(left.size(), right.size()));
  return result;
}

void compare(Report& report, const Crossing& one, const Crossing& other) {
  const std::string name(onion::type_info(one.type).name);
  report.expect(
      shared_pieces<16>(behind_link_header(one.before), behind_link_header(one.behind)) == 0,
      name + " carries bytes through");
  const Buffer before = difference(one.before, other.before);
  const Buffer behind = difference(one.behind, other.behind);
  report.expect(shared_pieces<16>(behind_link_header(before), behind_link_header(behind)) == 0,
                name + " carries a difference through");
}

Journey setup_journey(World& world, PacketType type) {
  const onion::SetupPacket setup = world.setup_packet({0, kRelayUnderTest, 2}, type, Service::echo);
  const Bytes view = setup.datagram.view();
  return world.travel(kClient, 0, Buffer(view.begin(), view.end()));
}

}  // namespace

Report linking(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  for (std::size_t round = 0; round < rounds; ++round) {
    const ClientPath path = world.make_path({0, kRelayUnderTest, 2}, Service::echo);
    std::uint64_t seq = 1;
    for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
      const auto one =
          crossings(world, world.travel(kClient, 0, world.echo_packet(path, packet_class, seq++)));
      const auto other =
          crossings(world, world.travel(kClient, 0, world.echo_packet(path, packet_class, seq++)));
      // Forward at least; a relay that is wrong may be found out before the answer comes.
      if (!report.need(!one.empty() && one.size() == other.size(),
                       "data packets cross the relay")) {
        return report;
      }
      for (std::size_t i = 0; i < one.size(); ++i) {
        compare(report, one[i], other[i]);
      }
    }
    for (const PacketType type : {PacketType::s0, PacketType::s1}) {
      const auto one = crossings(world, setup_journey(world, type));
      const auto other = crossings(world, setup_journey(world, type));
      if (!report.need(one.size() == 2 && other.size() == 2, "setups cross the relay and back")) {
        return report;
      }
      compare(report, one[0], other[0]);
      compare(report, one[1], other[1]);
    }
  }
  return report;
}

Report fresh_spare(const WorldOptions& options, std::size_t rounds) {
  Report report;
  World world(options);
  for (std::size_t round = 0; round < rounds; ++round) {
    const ClientPath path = world.make_path({0, kRelayUnderTest}, Service::drop);
    for (const PacketClass packet_class : {PacketClass::d, PacketClass::v}) {
      std::array<Journey, 2> journeys;
      for (std::size_t i = 0; i < journeys.size(); ++i) {
        journeys[i] =
            world.travel(kClient, 0, world.data_packet(path, packet_class, 2 * round + i));
      }
      if (!report.need(journeys[0].steps.size() == 2 && journeys[1].steps.size() == 2 &&
                           journeys[0].last() == onion::Verdict::deliver,
                       "both packets arrive")) {
        return report;
      }
      for (std::size_t hop = 0; hop < 2; ++hop) {
        std::array<Buffer, 2> seen = {journeys[0].steps[hop].in, journeys[1].steps[hop].in};
        for (Buffer& datagram : seen) {
          world.lift(journeys[0].steps[hop].from, journeys[0].steps[hop].relay, datagram);
        }
        const auto behind_segment = [](const Buffer& datagram) {
          return Bytes(datagram).subspan(onion::kLinkHeaderBytes + onion::kSegmentBytes,
                                         info_of(datagram).header_bytes - onion::kSegmentBytes);
        };
        report.expect(shared_pieces<16>(behind_segment(seen[0]), behind_segment(seen[1])) == 0,
                      "two headers share bytes at hop " + std::to_string(hop + 1));
      }
    }
  }
  return report;
}

}  // namespace allium::property
